# Files by handle instead of by name, and watches over folders.
# expect: denied
# off: guard seccomp
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
handle, mount = ctypes.create_string_buffer(136), ctypes.c_int()
ctypes.c_uint.from_buffer(handle).value = 128
worked = []
if libc.syscall(ctypes.c_long(303), ctypes.c_long(-100), b"/scratch", handle, ctypes.byref(mount), ctypes.c_long(0)) == 0:
    worked.append("name_to_handle_at")
    if libc.syscall(ctypes.c_long(304), ctypes.c_long(-100), handle, ctypes.c_long(0)) >= 0:
        worked.append("open_by_handle_at")
if libc.syscall(ctypes.c_long(300), ctypes.c_long(0), ctypes.c_long(0)) >= 0:
    worked.append("fanotify_init")
watch = libc.syscall(ctypes.c_long(294), ctypes.c_long(0))
if watch >= 0:
    libc.inotify_add_watch(watch, os.fsencode(os.path.dirname(os.__file__)), 0xFFF)
    worked.append("inotify")
reply("worked" if worked else "denied")
