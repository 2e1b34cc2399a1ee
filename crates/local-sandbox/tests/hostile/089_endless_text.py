# An answer whose text never ends to be made.
# expect: wall
# limits: wall=0.7
# mode: analysis
# off: limits wall=20
# off-expect: answer
import time

class Endless:
    def __str__(self):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass
        return "worked"

result = Endless()
