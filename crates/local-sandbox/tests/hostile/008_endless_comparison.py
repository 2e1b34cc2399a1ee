# A sort whose comparison takes its time.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import functools, time

def compare(left, right):
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        pass
    return 0

sorted([2, 1], key=functools.cmp_to_key(compare))
reply("worked")
