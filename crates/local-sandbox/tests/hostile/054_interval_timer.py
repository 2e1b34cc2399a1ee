# A timer that interrupts it all the time.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import signal, time

signal.signal(signal.SIGALRM, lambda *_: None)
signal.signal(signal.SIGVTALRM, lambda *_: None)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0001, 0.0001)
except OSError:
    pass
end = time.monotonic() + 1.5
while time.monotonic() < end:
    pass
reply("worked")
