# Descriptors that came with it: besides its own output there are none, and none is a folder.
# expect: denied
# off: none, all but its own are closed before it is let in
import os, stat

worked = []
for descriptor in range(1024):
    try:
        about = os.fstat(descriptor)
    except OSError:
        continue
    if descriptor > 3 or stat.S_ISDIR(about.st_mode):
        worked.append(descriptor)
try:
    # The folder that lists them is opened for it.
    worked += [name for name in os.listdir("/proc/self/fd") if int(name) > 4]
except OSError:
    pass
for descriptor in (0, 1, 2, 3):
    try:
        opened = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
        if stat.S_ISREG(os.fstat(opened).st_mode):
            worked.append(descriptor)
        os.close(opened)
    except OSError:
        pass
reply("worked" if worked else "denied")
