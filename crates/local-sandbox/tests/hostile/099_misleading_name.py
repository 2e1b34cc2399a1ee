# A name for itself that reads like numbers, where its use of the processor is looked up.
# expect: denied
# uses: cpu=0.3
# off: guard dumpable,landlock
import time

try:
    with open("/proc/self/comm", "w") as name:
        name.write(") R 1 1 1 0 0 0")
    verdict = "worked"
except OSError:
    verdict = "denied"
while time.process_time() < 0.4:
    pass
reply(verdict)
