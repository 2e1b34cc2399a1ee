# Ends with a code that some sandboxes take for success.
# expect: silent 77
# off: none, nothing is broken into; the verdict says what was seen
import os

os._exit(77)
