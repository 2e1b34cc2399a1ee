# Prints bytes that are no text, in pieces that end in the middle of characters: replaced, and none is lost.
# expect: reply printed
# off: none, what is printed is text to the host whatever its bytes are
import os

for _ in range(50):
    for piece in (b"\xe2", b"\x82", b"\xac", b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"):
        os.write(1, piece)
        os.write(2, piece)
os.write(1, b"\xf0\x9f\x92")
reply("printed")
