# Waits for a lock that it holds itself.
# expect: wall
# limits: wall=0.5
# off: limits wall=20
import threading

lock = threading.Lock()
lock.acquire()
lock.acquire(timeout=1.5)
reply("worked")
