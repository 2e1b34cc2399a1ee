# Calls itself far beyond the usual limit.
# expect: denied | signal 11
# limits: memory=16
# off: limits memory=1024
# off-expect: worked | signal 11
import sys

sys.setrecursionlimit(10**9)

def deeper(left):
    return deeper(left - 1) if left else 0

try:
    deeper(300_000)
    verdict = "worked"
except (MemoryError, RecursionError, SystemError):
    verdict = "denied"
reply(verdict)
