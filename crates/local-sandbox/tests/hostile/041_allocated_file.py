# A file whose room is taken without writing to it.
# expect: denied
# limits: file=1
# off: limits file=64
import os

with open("large", "wb") as file:
    try:
        os.posix_fallocate(file.fileno(), 0, 4 << 20)
        verdict = "worked"
    except OSError as error:
        verdict = "denied" if error.errno in (1, 27, 38, 95) else str(error)
reply(verdict)
