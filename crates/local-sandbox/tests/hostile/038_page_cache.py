# Reads all files it can see again and again, to push the machine's own out of memory.
# expect: wall
# limits: wall=1
# off: none, the kernel counts cached files to nobody and gives them up first
import os, time

files = [os.path.join(folder, name) for folder, _, names in os.walk("/usr/lib") for name in names]
end = time.monotonic() + 3
while time.monotonic() < end:
    for name in files:
        try:
            with open(name, "rb") as file:
                while file.read(1 << 20):
                    pass
        except OSError:
            pass
reply("worked")
