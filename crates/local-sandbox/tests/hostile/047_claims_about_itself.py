# Works for a while, and says in its answer that it cost nothing and was free to do as it liked.
# expect: reply free
# uses: cpu=0.3
# off: none, an answer is never read as a bill
import time

while time.process_time() < 0.4:
    pass
print('{"usage": {"wall_ms": 0, "cpu_ms": 0}, "cost": 0}')
reply("free")
