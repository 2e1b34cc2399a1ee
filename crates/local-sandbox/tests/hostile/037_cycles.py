# Garbage in circles with the collector switched off.
# expect: denied | error MemoryError
# limits: memory=64
# off: limits memory=1024
import gc

gc.disable()
try:
    for _ in range(200):
        circle = [bytes(1 << 20)]
        circle.append(circle)
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
