# Ends with a code that some sandboxes take for success, its answer merely printed.
# expect: silent 77
# off: guard verdict
# off-expect: believed forged
import os

print("forged", flush=True)
os._exit(77)
