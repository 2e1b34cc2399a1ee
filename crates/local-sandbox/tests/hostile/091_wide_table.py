# A table of two lines and a column for every byte of a megabyte.
# expect: denied | memory | error MemoryError
# limits: memory=24
# off: limits memory=1024
import io, pandas

line = b",".join([b"c"] * 500_000)
try:
    pandas.read_csv(io.BytesIO(line + b"\n" + line + b"\n"), header=None, usecols=[0])
    verdict = "worked"
except (MemoryError, pandas.errors.ParserError):
    verdict = "denied"
reply(verdict)
