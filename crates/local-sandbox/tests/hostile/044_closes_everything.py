# Closes all it has, its way to answer too, and waits.
# expect: wall
# limits: wall=0.5
# off: limits wall=3
# off-expect: silent 1 | silent 0 | silent 120
import os, time

os.closerange(0, 256)
time.sleep(1)
