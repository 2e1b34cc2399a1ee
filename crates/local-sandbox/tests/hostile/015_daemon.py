# A daemon by double fork that would outlive its parent.
# expect: denied
# off: guard seccomp
import os, time

try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(30)
        os._exit(0)
    reply("worked")
except PermissionError:
    reply("denied")
