# Crashes.
# expect: signal 11
# off: none, only the program itself is hurt
import ctypes

ctypes.string_at(0)
