# answer: [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
import pandas as pd

pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_json("rows.json", orient="records")
reply(pd.read_json("rows.json").to_dict("records"))
