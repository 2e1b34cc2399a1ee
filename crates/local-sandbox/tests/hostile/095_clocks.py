# Precise clocks, from which other programs' work could be guessed: allowed, and not defended.
# expect: worked
# off: none, it is not guarded against
import time

steps = [time.perf_counter_ns() for _ in range(1000)]
finest = min(later - earlier for earlier, later in zip(steps, steps[1:]) if later > earlier)
reply("worked" if finest < 1_000_000 else finest)
