# A file of its own marked to run as its owner.
# expect: files 1
# off: guard collect
# off-expect: marked
import os

with open("\u00adprogram", "w") as file:
    file.write("#!/bin/sh\n")
try:
    os.chmod("\u00adprogram", 0o6755)
except OSError:
    pass
reply("done")
