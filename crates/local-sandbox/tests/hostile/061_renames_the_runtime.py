# Moves, links over and removes files of the libraries and of its data. (Behind Landlock alone, changing rights says that it worked and does nothing: see tests/tiers.rs.)
# expect: denied
# landlock: worked
# off: none, what it would move lies on mounts that nobody in the jail can write to
import os, json, numpy

worked = []
for path in (json.__file__, numpy.__file__, "/data/orders.csv", "/dev/null", "/proc/self/status"):
    for attempt in (
        lambda: os.rename(path, "/scratch/moved"),
        lambda: os.remove(path),
        lambda: os.truncate(path, 0) if path not in ("/dev/null",) else os.chmod("/missing", 0),
        lambda: os.rename("/scratch/mine", path),
    ):
        try:
            open("/scratch/mine", "w").close()
            attempt()
            worked.append(path)
        except OSError:
            pass
reply("worked" if worked else "denied")
