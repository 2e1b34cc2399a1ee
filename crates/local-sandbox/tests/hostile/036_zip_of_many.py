# An archive of a hundred thousand files, unpacked.
# expect: denied
# landlock: worked
# limits: inodes=200
# off: limits inodes=2000
import io, zipfile

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    for number in range(1000):
        archive.writestr(f"{number}", b"")
try:
    zipfile.ZipFile(packed).extractall("/tmp/unpacked")
    verdict = "worked"
except OSError as error:
    verdict = "denied" if error.errno == 28 else str(error)
reply(verdict)
