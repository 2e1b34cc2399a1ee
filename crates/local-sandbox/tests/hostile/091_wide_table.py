# A table of two lines and two hundred thousand columns.
# expect: denied | memory
# limits: memory=48 wall=15
# off: limits memory=1024
import io, pandas

line = ",".join(f"c{number}" for number in range(60_000))
try:
    pandas.read_csv(io.StringIO(f"{line}\n{line}\n"), dtype=str).describe
    verdict = "worked"
except (MemoryError, pandas.errors.ParserError):
    verdict = "denied"
reply(verdict)
