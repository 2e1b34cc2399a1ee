# Jumps into nothing.
# expect: signal 11
# off: none, only the program itself is hurt
import ctypes

ctypes.CFUNCTYPE(None)(0xDEAD0000)()
reply("worked")
