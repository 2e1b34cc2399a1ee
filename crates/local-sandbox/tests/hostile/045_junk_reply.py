# Writes junk wherever a reply might go.
# expect: broken-reply
# off: none, a reply is read by one parser with no switch; its unit tests try each form
import os

for descriptor in range(3, 16):
    try:
        os.write(descriptor, b"\xff\xff\xff\x7f junk")
    except OSError:
        pass
