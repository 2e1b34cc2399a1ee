# A pipe that would hold its reader up, a socket, a giant that takes no room.
# expect: dropped 1
# limits: file=64
# off: guard seccomp,landlock
# off-expect: dropped 3
import os, socket

try:
    os.mkfifo("pipe")
    socket.socket(socket.AF_UNIX).bind("socket")
except OSError:
    pass
with open("giant", "wb") as file:
    file.truncate(48 << 20)
reply("done")
