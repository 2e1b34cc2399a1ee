# Writes to its input, next to it, and into the libraries that the next run will use.
# expect: denied
# off: guard read-only,landlock
import os, numpy

worked = []
for path in ("/data/orders.csv", "/data/new.csv", numpy.__file__, os.path.dirname(numpy.__file__) + "/new.py", os.__file__, "/usr/lib/new", "/new"):
    try:
        with open(path, "a") as file:
            if "/data" in path:
                file.write("x")
        worked.append(path)
    except OSError:
        pass
reply("worked" if worked else "denied")
