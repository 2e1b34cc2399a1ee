# answer: [4, 100.5, [["ana", 70.5], ["bo", 30.0]]]
import duckdb

base = duckdb.connect(config={"threads": 1})
orders = "/data/orders.csv"
base.execute(f"copy (select * from read_csv_auto('{orders}')) to 'orders.parquet' (format parquet)")
count, total = base.execute("select count(*), sum(amount) from 'orders.parquet'").fetchone()
rows = base.execute("select who, sum(amount) from 'orders.parquet' group by who order by who").fetchall()
reply([count, total, [list(row) for row in rows]])
