# Blocks every signal in every thread, and goes on.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import ctypes, signal, threading, time

def go_on():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        pass

stack = (ctypes.c_uint64 * 3)(0, 0, 0)
ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None)
threads = [threading.Thread(target=go_on) for _ in range(3)]
for thread in threads:
    thread.start()
go_on()
reply("worked")
