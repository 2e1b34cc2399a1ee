# Uses more processor time than allowed.
# expect: cpu
# limits: cpu=1 wall=20
# off: limits cpu=20
import time

while time.process_time() < 1.6:
    pass
reply("worked")
