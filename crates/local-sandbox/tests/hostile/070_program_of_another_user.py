# A copy of a program marked to run as its owner, with capabilities of its own.
# expect: denied
# off: guard seccomp,landlock
import os, shutil

shutil.copy("/lib64/ld-linux-x86-64.so.2", "/scratch/program")
try:
    os.chmod("/scratch/program", 0o6755)
    os.setxattr("/scratch/program", "security.capability", b"\x01\x00\x00\x02" + b"\xff" * 16)
except OSError:
    pass
try:
    status = os.waitpid(os.posix_spawn("/scratch/program", ["program", "--version"], {}), 0)[1]
    reply("worked" if status == 0 else status)
except OSError:
    os.remove("/scratch/program")
    reply("denied")
