# A table put below itself again and again.
# expect: denied | memory
# limits: memory=96
# off: limits memory=2048
import pandas

table = pandas.DataFrame({"a": range(1000), "b": "x"})
try:
    for _ in range(13):
        table = pandas.concat([table, table])
    verdict = "worked"
except MemoryError:
    verdict = "denied"
del table
reply(verdict)
