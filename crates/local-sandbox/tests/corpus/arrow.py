# answer: [["n", "s"], 3, 6, 2]
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import feather

table = pa.table({"n": [1, 2, 3], "s": ["a", "b", None]})
feather.write_feather(table, "t.feather")
again = feather.read_table("t.feather", memory_map=True)
total = pc.sum(again["n"]).as_py()
pq.write_to_dataset(table, "parts", partition_cols=["s"])
known = ds.dataset("t.feather", format="feather").filter(pc.is_valid(pc.field("s"))).count_rows()
reply([again.column_names, again.num_rows, total, known])
