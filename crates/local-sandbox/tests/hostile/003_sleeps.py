# Sleeps past its time.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import time

time.sleep(1.5)
reply("worked")
