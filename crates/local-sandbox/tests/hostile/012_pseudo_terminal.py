# A process on a terminal of its own.
# expect: denied
# off: guard seccomp
import os, pty

try:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    worked = True
except OSError:
    worked = False
try:
    master, slave = pty.openpty()
    worked = True
except OSError:
    pass
reply("worked" if worked else "denied")
