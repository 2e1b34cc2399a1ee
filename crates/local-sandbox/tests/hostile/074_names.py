# Asks for the address of a name, in every way there is.
# expect: denied
# off: guard seccomp
import socket

worked = []
try:
    socket.getaddrinfo("example.com", 80)
    worked.append("resolved")
except OSError:
    pass
for family in (socket.AF_INET, socket.AF_INET6):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as question:
            worked.append("socket")
            question.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1", ("127.0.0.53", 53))
    except OSError:
        pass
for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"):
    try:
        worked.append(open(path).read())
    except OSError:
        pass
reply("worked" if worked else "denied")
