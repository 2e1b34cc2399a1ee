# A join of everything with everything.
# expect: denied
# limits: memory=96
# off: limits memory=2048
import pandas

left = pandas.DataFrame({"a": range(3000)})
right = pandas.DataFrame({"b": range(3000)})
try:
    left.merge(right, how="cross")
    reply("worked")
except MemoryError:
    reply("denied")
