# Memory that its interpreter has mapped and nobody has touched, beside all that it may take, for a moment only.
# expect: memory
# limits: memory=64
# off: limits memory=1024
import ctypes
import os
import re

held = bytearray(56 << 20)
with open("/proc/self/smaps") as maps:
    found = re.findall(r"(?m)^(\w+)-(\w+) rw-p (?:.+\n)+?Rss: +(\d+) kB$", maps.read())
left = 40 << 20
for start, end, resident in found:
    start, length = int(start, 16), int(end, 16) - int(start, 16)
    if length >= 8 << 20 and int(resident) << 10 < length // 4:
        length = min(length, left)
        for page in range(start, start + length, 4096):
            byte = ctypes.c_byte.from_address(page)
            byte.value = byte.value
        left -= length
reply("denied" if left else "worked")
os._exit(0)
