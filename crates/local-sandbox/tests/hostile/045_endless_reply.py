# A reply of 4 MB.
# expect: output
# limits: reply=64
# off: limits reply=8192
# off-expect: broken-reply
import os

for descriptor in range(3, 16):
    try:
        for _ in range(64):
            os.write(descriptor, b"[" * 65536)
    except OSError:
        pass
