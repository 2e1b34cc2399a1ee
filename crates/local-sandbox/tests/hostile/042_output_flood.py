# Prints 2 MB, to both streams in turn.
# expect: output
# limits: output=64
# off: limits output=4096
import sys

for _ in range(32):
    sys.stdout.write("x" * 32768)
    sys.stderr.write("y" * 32768)
sys.stdout.flush()
reply("worked")
