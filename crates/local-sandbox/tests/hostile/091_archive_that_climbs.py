# Archives whose files would be unpacked elsewhere.
# expect: denied
# off: none, outside its own folders everything is read-only, whatever unpacks
import io, os, tarfile, zipfile

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.writestr("../../../../usr/lib/climbed", "x")
    archive.writestr("/climbed", "x")
zipfile.ZipFile(packed).extractall("/tmp/unpacked")
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as archive:
    for name in ("../../../../usr/lib/climbed", "/climbed", "../data/climbed"):
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    link = tarfile.TarInfo("out")
    link.type, link.linkname = tarfile.SYMTYPE, "/data"
    archive.addfile(link)
    archive.addfile(tarfile.TarInfo("out/climbed"), io.BytesIO())
packed.seek(0)
with tarfile.open(fileobj=packed) as archive:
    for member in archive:
        try:
            archive.extract(member, "/tmp/unpacked")
        except (OSError, tarfile.TarError):
            pass
worked = [path for path in ("/usr/lib/climbed", "/climbed", "/data/climbed") if os.path.exists(path)]
reply("worked" if worked else "denied")
