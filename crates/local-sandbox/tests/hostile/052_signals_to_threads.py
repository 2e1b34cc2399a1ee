# Signals by the number of a thread, and queued ones.
# expect: denied
# landlock: denied | signal 9
# off: none, the process namespace has nobody else in it
import ctypes, os, time

libc = ctypes.CDLL(None, use_errno=True)
for pid in (2, 3, os.getppid() or 2, -1):
    libc.syscall(ctypes.c_long(234), ctypes.c_long(pid), ctypes.c_long(pid), ctypes.c_long(9))
    libc.syscall(ctypes.c_long(200), ctypes.c_long(pid), ctypes.c_long(9))
    libc.syscall(ctypes.c_long(129), ctypes.c_long(pid), ctypes.c_long(9), ctypes.create_string_buffer(128))
time.sleep(0.2)
reply("denied")
