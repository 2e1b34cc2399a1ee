# Answers, and then never ends: the flush of its output is its own. What it said is kept, and so is the verdict.
# expect: wall
# limits: wall=0.7
# off: limits wall=20
import sys, time

class Endless:
    def write(self, text):
        return len(text)

    def flush(self):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass

sys.stdout = Endless()
reply("worked")
