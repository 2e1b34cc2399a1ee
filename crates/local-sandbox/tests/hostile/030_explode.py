# One row whose list becomes millions of rows.
# expect: denied | memory
# limits: memory=96
# off: limits memory=2048
import pandas

try:
    pandas.DataFrame({"a": [[0] * 3_000_000, [1] * 3_000_000], "b": ["x", "y"]}).explode("a")
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
