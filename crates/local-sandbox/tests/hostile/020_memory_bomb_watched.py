# The same past the kernel's limits: the watch from outside ends it.
# expect: denied
# limits: memory=128
# off: guard rlimits
# off-expect: memory
import time
import numpy

taken = []
try:
    for _ in range(20):
        taken.append(numpy.ones(20 * 1024 * 1024 // 8))
    time.sleep(2)
    reply("worked")
except MemoryError:
    taken.clear()
    reply("denied")
