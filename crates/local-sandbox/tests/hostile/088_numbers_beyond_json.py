# Numbers that JSON does not have, written past the encoder.
# expect: broken-reply
# off: guard one-reply
# off-expect: believed NaN
import os

os.write(3, b'{"value": [NaN, Infinity, -Infinity, 1e999]}')
os._exit(0)
