# answer: [2, 40.5]
import contextlib
import sqlite3

import pandas as pd

with contextlib.closing(sqlite3.connect("shop.db")) as shop:
    pd.DataFrame({"who": ["ana", "bo"], "amount": [10.5, 30.0]}).to_sql("orders", shop, index=False)
    again = pd.read_sql("select * from orders", shop)
reply([len(again), float(again.amount.sum())])
