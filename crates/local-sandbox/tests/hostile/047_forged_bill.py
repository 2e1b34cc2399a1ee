# The same in the frame around its answer.
# expect: broken-reply
# uses: cpu=0.3
# off: guard one-reply
# off-expect: believed mine
import os, time

while time.process_time() < 0.4:
    pass
os.write(3, b'{"value": "mine", "usage": {"wall_ms": 0, "cpu_ms": 0}, "cost": 0, "tier": "ns+cg", "verdict": "exited"}')
os._exit(0)
