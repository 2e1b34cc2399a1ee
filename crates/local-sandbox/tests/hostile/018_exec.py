# Becomes another program: the dynamic loader is the one there is.
# expect: denied
# off: guard seccomp,landlock
import os

loader = "/lib64/ld-linux-x86-64.so.2"
try:
    os.execve(loader + "-missing", ["x"], {})
except PermissionError:
    pass
except FileNotFoundError:
    print("exec is let through")
try:
    pid = os.posix_spawn(loader, ["ld.so", "--version"], {})
    _, status = os.waitpid(pid, 0)
    reply("worked" if status == 0 else status)
except PermissionError:
    reply("denied")
