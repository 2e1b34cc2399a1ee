# Shared memory by name.
# expect: denied
# off: none, there is no /dev/shm in the jail and the interpreter that fails to find it is ours
import ctypes
from multiprocessing import shared_memory

libc = ctypes.CDLL(None, use_errno=True)
worked = libc.shm_open(b"/meterbox-hostile", 0o102, 0o600) >= 0
try:
    shared_memory.SharedMemory(create=True, size=1 << 20).unlink()
    worked = True
except OSError:
    pass
reply("worked" if worked else "denied")
