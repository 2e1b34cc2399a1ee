# A loop that does not end in time.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import time

end = time.monotonic() + 1.5
while time.monotonic() < end:
    pass
reply("worked")
