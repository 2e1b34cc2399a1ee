# A loop that catches whatever would end it, and begins again.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import time

end = time.monotonic() + 1.5
while True:
    try:
        while time.monotonic() < end:
            pass
        break
    except BaseException:
        continue
reply("worked")
