# Writes junk wherever a reply might go.
# expect: broken-reply
# off: guard one-reply
# off-expect: believed junk
import os

for descriptor in range(3, 16):
    try:
        os.write(descriptor, b"\xff\xff\xff\x7f junk")
    except OSError:
        pass
