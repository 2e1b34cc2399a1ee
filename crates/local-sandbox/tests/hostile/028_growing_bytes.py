# Bytes that grow and are kept.
# expect: denied
# limits: memory=64
# off: limits memory=1024
grown = bytearray()
try:
    for _ in range(48):
        grown += bytes(4 << 20)
    verdict = "worked"
except MemoryError:
    verdict = "denied"
del grown
reply(verdict)
