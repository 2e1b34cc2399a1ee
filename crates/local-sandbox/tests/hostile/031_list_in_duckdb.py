# A list of millions of numbers inside DuckDB.
# expect: denied | error MemoryError | signal 11 | signal 6 | silent 127
# limits: memory=96
# off: limits memory=2048
import duckdb

try:
    duckdb.connect(config={"threads": 1}).execute("SELECT length(list(i)) FROM range(20_000_000) t(i)").fetchall()
    verdict = "worked"
except (duckdb.Error, MemoryError):
    verdict = "denied"
reply(verdict)
