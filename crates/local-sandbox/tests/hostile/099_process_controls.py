# What a process may say about itself: that it may be traced, that its parent's death is nothing to it, filters of its own.
# expect: denied
# off: guard seccomp
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
worked = [option for option, value in ((1, 0), (4, 1), (35, 1), (36, 1), (38, 0), (0x59616D61, 1))
          if libc.prctl(option, ctypes.c_long(value), ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0)) == 0]
reply("worked" if worked else "denied")
