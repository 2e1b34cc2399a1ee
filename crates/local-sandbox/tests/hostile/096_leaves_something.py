# Looks for what an earlier run left, and leaves the same: files, names, keys, locks, changed modules.
# expect: denied
# off: none, another run is another process in other namespaces
import builtins, ctypes, fcntl, json, os, random, sys
import numpy

libc = ctypes.CDLL(None, use_errno=True)
found = []
for folder in ("/tmp", "/scratch", "/dev/shm", "/var/tmp"):
    path = f"{folder}/left"
    if os.path.exists(path):
        found.append(path)
    try:
        open(path, "w").write("left")
    except OSError:
        pass
for thing in (builtins, json, numpy, os, sys):
    if hasattr(thing, "left"):
        found.append(str(thing))
    thing.left = True
sys.modules["left"] = sys
numpy.set_printoptions(precision=3)
for name in ("LEFT",):
    if name in os.environ:
        found.append(name)
    os.environ[name] = "1"
libc.syscall(ctypes.c_long(248), b"user", b"left", b"x", ctypes.c_long(1), ctypes.c_long(-3))
if libc.syscall(ctypes.c_long(249), b"user", b"left", None, ctypes.c_long(0)) >= 0:
    found.append("key")
reply("worked" if found else "denied")
