# Forks (three at most, to be safe with the guard off).
# expect: denied
# off: guard seccomp
import os

forked = 0
for _ in range(3):
    try:
        if os.fork() == 0:
            os._exit(0)
        forked += 1
    except PermissionError:
        pass
reply("worked" if forked else "denied")
