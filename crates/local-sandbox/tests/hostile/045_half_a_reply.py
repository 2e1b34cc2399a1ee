# Begins a reply and never ends it.
# expect: wall
# limits: wall=0.5
# off: limits wall=2
# off-expect: broken-reply
import os, time

for descriptor in range(3, 16):
    try:
        os.write(descriptor, b'{"value": ')
    except OSError:
        pass
time.sleep(1)
