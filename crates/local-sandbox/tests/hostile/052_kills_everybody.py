# Signals to process groups, to everybody, to its parent.
# expect: denied
# landlock: denied | signal 9
# off: guard seccomp,own-group,landlock
# off-expect: lost
import os

for attempt in (lambda: os.kill(0, 9), lambda: os.kill(-1, 9), lambda: os.kill(1, 9), lambda: os.killpg(os.getpgid(0) or 1, 9)):
    try:
        attempt()
    except OSError:
        pass
import time

time.sleep(0.3)
reply("denied")
