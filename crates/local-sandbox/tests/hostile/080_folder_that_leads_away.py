# Its working folder replaced by a link: the handle of the folder was taken before it began.
# expect: files 1
# off: none, the folder is a mount that cannot be moved
import os

open("/scratch/mine", "w").close()
for attempt in (lambda: os.rename("/scratch", "/moved"), lambda: os.rmdir("/scratch"), lambda: os.rename("/scratch/../scratch", "/tmp/scratch")):
    try:
        attempt()
    except OSError:
        pass
reply("done")
