# Recursion below Python, where the stack itself ends.
# expect: signal 11 | denied
# off: none, only the program itself is hurt
import sys

sys.setrecursionlimit(10**9)
nested = []
for _ in range(200_000):
    nested = [nested]
try:
    repr(nested)
    verdict = "worked"
except (RecursionError, MemoryError):
    verdict = "denied"
while nested:
    nested = nested[0]
reply(verdict)
