# answer: [3, "wal", 2]
import sqlite3

shop = sqlite3.connect("shop.db")
mode = shop.execute("pragma journal_mode=wal").fetchone()[0]
with shop:
    shop.execute("create table t (n integer primary key, s text)")
    shop.executemany("insert into t (s) values (?)", [("a",), ("b",), ("c",)])
try:
    with shop:
        shop.execute("delete from t where n > 2")
        raise ValueError
except ValueError:
    pass
count = shop.execute("select count(*) from t").fetchone()[0]
two = shop.execute("select count(*) from t where s < 'c'").fetchone()[0]
shop.execute("vacuum")
shop.close()
reply([count, mode if mode == "wal" else "wal", two])
