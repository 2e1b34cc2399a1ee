# Waits for a pipe without a time-out, deaf to everything else.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import os, select, threading, time

def write():
    time.sleep(1.5)
    os.write(theirs, b"x")

ours, theirs = os.pipe()
threading.Thread(target=write).start()
select.select([ours], [], [])
reply("worked")
