# Ends as if all were well, without an answer.
# expect: silent 0
# off: none, nothing is broken into; the verdict says what was seen
import os

os._exit(0)
