# A line without an end, of bytes that are no text.
# expect: output
# limits: output=64
# off: limits output=4096
import os

for _ in range(32):
    os.write(1, b"\xff\x00\xed\xa0\x80" * 8192)
reply("worked")
