# Kilobytes that unpack to 200 MB.
# expect: denied
# limits: memory=96
# off: limits memory=1024
import gzip

packed = gzip.compress(bytes(8 << 20)) * 25
try:
    gzip.decompress(packed)
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
