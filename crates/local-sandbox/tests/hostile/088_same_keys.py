# A frame that says two things under one key, and one with keys of another language.
# expect: broken-reply
# off: guard one-reply
# off-expect: believed 2 | believed two | believed one
import os

os.write(3, b'{"value": "one", "value": "two"}')
os._exit(0)
