# answer: [3, true]
import pandas as pd

frame = pd.DataFrame({"a": [1, 2, 3]})
frame.to_pickle("frame.pkl.gz")
again = pd.read_pickle("frame.pkl.gz")
reply([len(again), bool(again.equals(frame))])
