# Archives in an archive, each unpacked into memory.
# expect: denied
# limits: memory=96
# off: limits memory=1024
import io, zipfile

def packed(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()

inner = packed({"zeros": bytes(16 << 20)})
outer = packed({f"{number}.zip": inner for number in range(12)})
try:
    held = []
    for name in (archive := zipfile.ZipFile(io.BytesIO(outer))).namelist():
        held.append(zipfile.ZipFile(io.BytesIO(archive.read(name))).read("zeros"))
    verdict = "worked"
except MemoryError:
    verdict = "denied"
del held
reply(verdict)
