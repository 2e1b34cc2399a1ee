# Closes its streams and goes on: their silence is no end.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import os, time

for descriptor in range(3):
    os.close(descriptor)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    pass
reply("worked")
