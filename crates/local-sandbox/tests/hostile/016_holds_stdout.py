# A child that keeps the output open after its parent's end.
# expect: denied
# off: guard seccomp
import os, time

try:
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    reply("worked")
except PermissionError:
    reply("denied")
