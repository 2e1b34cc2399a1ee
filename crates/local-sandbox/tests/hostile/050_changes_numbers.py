# Changes what small numbers, truth and names mean, below Python.
# expect: reply 7 | broken-reply | signal 11 | silent 0 | silent 1 | error
# off: none, the program only hurts itself
import ctypes, sys

class Number(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ssize_t), ("kind", ctypes.c_void_p), ("size", ctypes.c_ssize_t), ("digit", ctypes.c_uint32)]

Number.from_address(id(200)).digit = 201
Number.from_address(id(3)).digit = 4
reply("7")
