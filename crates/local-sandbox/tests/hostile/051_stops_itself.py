# Stops itself and its parent: the first process of its namespace cannot be stopped from inside.
# expect: denied
# landlock: wall | denied
# limits: wall=2
# off: none, the process namespace is always there
import os, signal, time

before = time.monotonic()
for pid, number in ((os.getpid(), signal.SIGSTOP), (os.getpid(), signal.SIGTSTP), (os.getppid(), signal.SIGSTOP)):
    try:
        os.kill(pid, number)
    except OSError:
        pass
reply("denied")
