# Sockets of protocols that few know.
# expect: denied
# off: guard seccomp
import socket

worked = []
for family, kind, protocol in ((2, 1, 132), (2, 1, 262), (2, 3, 1), (2, 2, 136), (16, 3, 0), (44, 5, 0), (29, 3, 1), (21, 5, 0), (41, 2, 0), (1, 5, 0)):
    try:
        socket.socket(family, kind, protocol).close()
        worked.append((family, kind, protocol))
    except OSError:
        pass
reply("worked" if worked else "denied")
