# Divides by zero below Python.
# expect: signal 8
# off: none, only the program itself is hurt
import ctypes

ctypes.CDLL(None).div(1, 0)
reply("worked")
