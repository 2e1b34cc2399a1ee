# answer: [1000, 499500, "int64"]
import pandas as pd

pd.DataFrame({"n": range(1000)}).to_parquet("n.parquet", compression="zstd")
again = pd.read_parquet("n.parquet")
reply([len(again), int(again.n.sum()), str(again.n.dtype)])
