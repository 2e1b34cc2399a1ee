# Sleeps in threads, and waits for them.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import threading, time

threads = [threading.Thread(target=time.sleep, args=(1.2,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
reply("worked")
