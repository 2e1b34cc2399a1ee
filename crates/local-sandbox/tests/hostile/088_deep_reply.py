# An answer nested a hundred thousand deep, written past the encoder.
# expect: broken-reply
# off: guard one-reply
# off-expect: believed [[[
import os

deep = 100_000
os.write(3, b'{"value": ' + b"[" * 30_000)
os.write(3, b"]" * 30_000 + b"}")
os._exit(0)
