# A picture of a few kilobytes and of 200 million points.
# expect: denied
# limits: memory=96
# off: limits memory=2048
import io, struct, zlib
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
wide, high = 14_000, 14_000

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

packer = zlib.compressobj(1)
rows = b"".join(packer.compress(bytes(wide + 1)) for _ in range(high)) + packer.flush()
picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0))
picture += chunk(b"IDAT", rows) + chunk(b"IEND", b"")
try:
    Image.open(io.BytesIO(picture)).load()
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
