# DuckDB told that it has a hundred gigabytes and as many threads as it likes.
# expect: denied | error MemoryError | signal 11 | signal 6 | silent 127
# limits: memory=128 threads=16
# off: limits memory=8192 threads=300
import duckdb

connection = duckdb.connect(config={"threads": 1})
try:
    connection.execute("SET memory_limit='100GB'")
    connection.execute("SET threads=100")
    connection.execute("SELECT length(list(i)) FROM range(12_000_000) t(i)").fetchall()
    verdict = "worked"
except (duckdb.Error, MemoryError, RuntimeError):
    verdict = "denied"
reply(verdict)
