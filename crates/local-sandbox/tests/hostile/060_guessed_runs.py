# What other runs have: their folders, by the numbers that they might have, and what lies in its own from before.
# expect: denied
# landlock: denied | worked
# off: guard own-proc,landlock
import os

found = []
for pid in (*range(2, 400), os.getppid()):
    for place in ("root", "cwd", "fd", "environ", "root/scratch", "root/data"):
        try:
            found.append(os.stat(f"/proc/{pid}/{place}"))
        except OSError:
            pass
for folder in (".", "/tmp"):
    found += os.listdir(folder)
reply("worked" if found else "denied")
