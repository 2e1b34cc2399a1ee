# Forks from another thread than the first.
# expect: denied
# off: guard seccomp
import os, threading

forked = []

def fork():
    try:
        if os.fork() == 0:
            os._exit(0)
        forked.append(1)
    except OSError:
        pass

thread = threading.Thread(target=fork)
thread.start()
thread.join()
reply("worked" if forked else "denied")
