# Pipes with large buffers, each filled: memory of the kernel that no limit on memory counts.
# expect: denied
# limits: files=32
# off: limits files=256
import fcntl, os

held, filled = [], 0
try:
    for _ in range(40):
        ends = os.pipe()
        held.append(ends)
        os.set_blocking(ends[1], False)
        try:
            fcntl.fcntl(ends[1], 1031, 1 << 20)
        except OSError:
            pass
        try:
            while True:
                filled += os.write(ends[1], bytes(65536))
        except BlockingIOError:
            pass
    verdict = "worked"
except OSError as error:
    verdict = "denied" if error.errno == 24 and filled <= 32 << 20 else f"{error} {filled}"
for ends in held:
    os.close(ends[0]), os.close(ends[1])
reply(verdict)
