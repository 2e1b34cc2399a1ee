# Replies twice: once past the prelude, once properly.
# expect: broken-reply
# off: none, a reply is read by one parser with no switch; its unit tests try each form
import os

for descriptor in range(3, 16):
    try:
        os.write(descriptor, b'{"value": "mine"}')
    except OSError:
        pass
reply("second")
