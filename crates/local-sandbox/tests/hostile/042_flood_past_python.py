# The same past Python's own streams, from threads.
# expect: output
# limits: output=64
# off: limits output=4096
import os, threading

def flood():
    for _ in range(16):
        os.write(1, b"x" * 32768)

threads = [threading.Thread(target=flood) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
reply("worked")
