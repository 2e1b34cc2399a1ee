# Folders in folders, a thousand deep, with a loop of links in them.
# expect: dropped 2 | dropped 1
# off: none, only files at the top are looked at
import os

for _ in range(1000):
    os.mkdir("deep")
    os.chdir("deep")
open("file", "w").close()
os.chdir("/scratch")
try:
    os.symlink("/scratch", "loop")
except OSError:
    pass
reply("done")
