# answer: {"ana": 70.5, "bo": 30.0}
import pandas as pd

frame = pd.read_csv("/data/orders.csv")
who = pd.DataFrame({"who": ["ana", "bo"], "team": ["x", "y"]})
merged = frame.merge(who, on="who", how="left")
reply(merged.groupby("who").amount.sum().to_dict())
