# The rights and dates of files of whoever started the sandbox, by their place on the machine: Landlock says nothing of those.
# There the filter lets such a call do nothing and say that it did; the canary's keeper looks at the file.
# expect: denied
# landlock: worked | denied
# off: none, in a root of its own those files have no name
import os, shutil

path, worked = parameters["canary"], []
for name, attempt in (
    ("mode", lambda: os.chmod(path, 0o644)),
    ("mode without following", lambda: os.chmod(path, 0o644, follow_symlinks=False)),
    ("dates", lambda: os.utime(path)),
    ("owner", lambda: os.chown(path, -1, -1)),
    ("attribute", lambda: os.setxattr(path, "user.mine", b"x")),
    ("folder", lambda: os.chmod(os.path.dirname(path), 0o755)),
):
    try:
        attempt()
        worked.append(name)
    except (OSError, NotImplementedError):
        pass
reply("worked" if worked else "denied")
