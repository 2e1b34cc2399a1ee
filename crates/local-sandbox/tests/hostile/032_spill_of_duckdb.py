# DuckDB's spill of a sort, which would fill a disk.
# expect: denied
# landlock: worked
# limits: scratch=4 memory=512
# off: limits scratch=512
import duckdb

connection = duckdb.connect(config={"threads": 1, "temp_directory": "/scratch/spill"})
connection.execute("SET memory_limit='40MB'")
try:
    query = "SELECT count(*) FROM (SELECT i, hash(i) AS h FROM range(3_000_000) t(i) ORDER BY h LIMIT 2_900_000)"
    connection.execute(query).fetchall()
    verdict = "worked"
except duckdb.Error:
    verdict = "denied"
reply(verdict)
