# Names made to escape, to mislead, to break what reads them.
# expect: files 18
# off: guard collect
# off-expect: copied -rf
import os

names = [b"a\nb.csv", b"\x1b]0;title\x07.txt", "a\u202egpj.exe".encode(), b"\xff\xfe.csv", b"CON", b"com1.tar.gz", b".htaccess",
         b"-rf", b"   ", b"~root", b"x" * 255, b"<script>.svg", b'"onload=.png', b"a|b;$(id)`id`.txt", b"..\\..\\boot.ini", b"...",
         "-\u00e9.csv".encode(), "-e\u0301.csv".encode()]
for name in names:
    with open(name, "wb") as file:
        file.write(b"x")
for name in (b"../outside", b"/tmp/../../outside", b"/data/outside", b"a/b"):
    try:
        open(name, "wb").close()
        if name == b"../outside":
            os.remove(name)
    except OSError:
        pass
reply("done")
