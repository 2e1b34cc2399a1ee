# A Parquet file whose lengths and counts are not true.
# expect: denied | signal 11 | signal 6 | signal 7 | memory
# limits: memory=256 wall=10
# off: none, whatever the reader makes of it stays in the jail
import io, random
import pyarrow, pyarrow.parquet as parquet

target = io.BytesIO()
parquet.write_table(pyarrow.table({"a": list(range(1000)), "b": ["x" * 10] * 1000}), target)
honest, choose = target.getvalue(), random.Random(7)
footer = len(honest) - 8 - int.from_bytes(honest[-8:-4], "little")
for _ in range(300):
    lying = bytearray(honest)
    for _ in range(choose.randrange(1, 4)):
        lying[choose.randrange(footer, len(lying) - 4)] = choose.choice((0, 0x7F, 0x80, 0xFF, choose.randrange(256)))
    try:
        parquet.read_table(io.BytesIO(lying), use_threads=False)
    except Exception:
        pass
    except MemoryError:
        pass
reply("denied")
