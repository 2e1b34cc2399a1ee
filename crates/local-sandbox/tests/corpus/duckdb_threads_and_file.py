# answer: [200000, 19999900000]
import duckdb

base = duckdb.connect("kept.duckdb", config={"threads": 4})
base.execute("create table n as select range as i from range(200000)")
base.close()
base = duckdb.connect("kept.duckdb", read_only=True)
reply([int(value) for value in base.execute("select count(*), sum(i) from n").fetchone()])
