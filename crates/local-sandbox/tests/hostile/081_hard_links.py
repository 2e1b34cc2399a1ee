# Hard links: to its data and the libraries, which other file systems forbid, and to a file of its own.
# expect: dropped 2
# off: guard collect
# off-expect: copied two
import os

for source in ("/data/orders.csv", os.__file__, "/inputs/canary.csv", "/dev/zero"):
    for target in ("linked", "/tmp/linked"):
        try:
            os.link(source, target)
            os.link(target, "stolen")
        except OSError:
            pass
with open("one", "w") as file:
    file.write("x")
try:
    os.link("one", "two")
except OSError:
    for name in ("one", "two"):
        os.mkdir(name) if name == "two" else os.remove(name) or os.mkdir(name)
reply("done")
