# More processor time than allowed, in threads that compute at once.
# expect: cpu
# limits: cpu=1 wall=20
# off: limits cpu=20
import threading, time, zlib

def compute():
    while time.process_time() < 1.6:
        zlib.crc32(bytes(1 << 20))

threads = [threading.Thread(target=compute) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
reply("worked")
