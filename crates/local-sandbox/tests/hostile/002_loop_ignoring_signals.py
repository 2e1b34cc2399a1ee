# The same with every signal ignored.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import signal, time

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
end = time.monotonic() + 1.5
while time.monotonic() < end:
    pass
reply("worked")
