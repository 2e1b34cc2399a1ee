# Complains without end, in small pieces.
# expect: output
# limits: output=64
# off: limits output=4096
import sys

for number in range(20_000):
    print(f"warning {number}: nothing is wrong", file=sys.stderr)
reply("worked")
