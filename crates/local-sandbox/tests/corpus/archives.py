# answer: [["a.txt", "b/c.txt"], "one", "two", "three", "three"]
import bz2
import gzip
import lzma
import pathlib
import tarfile
import zipfile

with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a.txt", "one")
    archive.writestr("b/c.txt", "two")
with zipfile.ZipFile("a.zip") as archive:
    names = archive.namelist()
    archive.extractall("out")
with tarfile.open("a.tar.xz", "w:xz") as archive:
    archive.add("out")
one = pathlib.Path("out/a.txt").read_text()
two = pathlib.Path("out/b/c.txt").read_text()
with bz2.open("t.bz2", "wt") as file:
    file.write("three")
three = bz2.open("t.bz2", "rt").read()
packed = gzip.decompress(gzip.compress(lzma.decompress(lzma.compress(b"three"))))
reply([names, one, two, three, packed.decode()])
