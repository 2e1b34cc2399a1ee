# answer: [["b", 2], ["a", 1]]
import duckdb
import pandas as pd

frame = pd.DataFrame({"name": ["a", "b"], "n": [1, 2]})
found = duckdb.sql("select name, n from frame order by n desc").df()
reply(found.values.tolist())
