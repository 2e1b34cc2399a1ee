# Takes and touches 400 MB.
# expect: denied
# limits: memory=128
# off: limits memory=1024
import numpy

taken = []
try:
    for _ in range(20):
        taken.append(numpy.ones(20 * 1024 * 1024 // 8))
    reply("worked")
except MemoryError:
    taken.clear()
    reply("denied")
