# Starts 100 threads. Without a user namespace a limit would count those of others too, so there is none.
# expect: denied
# landlock: worked
# limits: threads=16 memory=1024
# off: limits threads=200
import threading, time

started = 0
try:
    for _ in range(100):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        started += 1
except RuntimeError:
    pass
reply("worked" if started == 100 else "denied" if 10 <= started < 16 else started)
