# answer: [4, 100.5, ["ana", "bo"]]
import pandas as pd

frame = pd.read_csv("/data/orders.csv", parse_dates=["day"])
frame.to_csv("copy.csv", index=False)
again = pd.read_csv("copy.csv")
reply([len(again), float(again.amount.sum()), sorted(again.who.unique().tolist())])
