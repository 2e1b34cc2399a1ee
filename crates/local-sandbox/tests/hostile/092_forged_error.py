# An error far longer than the prelude would let out, written past it: it is cut where it is read.
# expect: error Forged
# off: none, there is one reader of errors and it always cuts
import json, os

error = {"type": "Forged", "message": "m" * 300_000, "traceback": "t" * 300_000, "line": 4_000_000_000}
frame = json.dumps({"error": error}).encode()
while frame:
    frame = frame[os.write(3, frame):]
os._exit(1)
