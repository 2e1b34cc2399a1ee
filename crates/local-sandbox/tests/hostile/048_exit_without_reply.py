# Ends as if all were well, its answer merely printed.
# expect: silent 0
# off: guard verdict
# off-expect: believed forged
import os

print("forged", flush=True)
os._exit(0)
