# The same with pairs of sockets.
# expect: denied
# off: guard seccomp
import socket

try:
    left, right = socket.socketpair()
    left.setblocking(False)
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
    left.send(bytes(65536))
    reply("worked")
except OSError:
    reply("denied")
