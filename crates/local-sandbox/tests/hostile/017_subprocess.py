# The usual ways to start a process in Python.
# expect: denied
# off: guard seccomp
import multiprocessing, os, subprocess

worked = False
try:
    process = multiprocessing.get_context("fork").Process(target=os._exit, args=(7,))
    process.start()
    process.join()
    worked = process.exitcode == 7
except OSError:
    pass
for attempt in (lambda: subprocess.run(["/bin/sh", "-c", "true"]), lambda: os.posix_spawn("/bin/sh", ["sh"], {})):
    try:
        attempt()
        worked = True
    except OSError:
        pass
if os.system("true") == 0:
    worked = True
reply("worked" if worked else "denied")
