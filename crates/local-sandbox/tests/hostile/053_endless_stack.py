# Recursion through a library until the stack ends. Python 3.14 knows where that is: the last call fails, and the program goes on.
# expect: signal 11 | error RecursionError | silent 0
# off: none, only the program itself is hurt
import ctypes, sys

sys.setrecursionlimit(10**9)
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
back = kind(lambda depth: back(depth + 1))
back(0)
