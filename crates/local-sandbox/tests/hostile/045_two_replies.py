# Replies twice: once past the prelude, once properly.
# expect: broken-reply
# off: guard one-reply
# off-expect: believed mine
import os

for descriptor in range(3, 16):
    try:
        os.write(descriptor, b'{"value": "mine"}')
    except OSError:
        pass
reply("second")
