# Keys and credentials where people keep them.
# expect: denied
# off: guard own-root
import glob, os

found = []
# Everybody's home, and the administrator's.
in_homes = [f"{home}/{name}" for home in ("/home/*", "/*") for name in (".ssh/*", ".aws/*", ".config/gcloud/*", ".kube/*", ".netrc",
                                                                     ".cargo/credentials*")]
for pattern in in_homes + ["/var/run/secrets/*/*", "/etc/ssl/private/*", "/etc/machine-id", "/etc/hostname", "/etc/group",
                           "/proc/1/environ"]:
    for path in glob.glob(pattern) + [pattern]:
        try:
            with open(path, "rb") as file:
                content = file.read()
            if content and "environ" not in path:
                found.append(path)
        except OSError:
            pass
reply("worked" if found else "denied")
