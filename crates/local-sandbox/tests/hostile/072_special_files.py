# Pipes, sockets and devices as files to be collected.
# expect: denied
# off: guard seccomp,landlock
import os, socket, stat

worked = []
for name, attempt in (
    ("fifo", lambda: os.mkfifo("fifo")),
    ("device", lambda: os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3))),
    ("socket", lambda: socket.socket(socket.AF_UNIX).bind("socket")),
):
    try:
        attempt()
        worked.append(name)
    except OSError:
        pass
reply("worked" if worked else "denied")
