# Threads that each ask for a large stack: address space instead of number.
# expect: denied
# limits: memory=128
# off: limits memory=4096
import threading, time

threading.stack_size(64 << 20)
started = 0
try:
    for _ in range(12):
        threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    pass
reply("worked" if started == 12 else "denied")
