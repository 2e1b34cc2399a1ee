# A pivot that has a column for every row.
# expect: denied | memory
# limits: memory=96
# off: limits memory=2048
import pandas

table = pandas.DataFrame({"row": range(4000), "column": range(4000), "value": 1.0})
try:
    table.pivot(index="row", columns="column", values="value")
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
