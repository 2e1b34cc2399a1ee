# Hooks and threads that would run on after the answer: the process ends without them.
# expect: reply first
# limits: wall=20
# off: none, the interpreter ends without running them
import atexit, threading, time, weakref

def endless():
    while True:
        time.sleep(0.01)

class Last:
    def __del__(self):
        endless()

last = Last()
atexit.register(endless)
weakref.finalize(endless, endless)
threading.Thread(target=endless).start()
threading.Thread(target=endless, daemon=True).start()
reply("first")
