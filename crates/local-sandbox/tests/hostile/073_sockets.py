# Sockets of every family, and connections to the machine's own services.
# expect: denied
# off: guard seccomp
import socket

worked = []
families = {"IPv4": 2, "IPv6": 10, "Unix": 1, "netlink": 16, "packet": 17, "vsock": 40, "alg": 38, "Bluetooth": 31}
for name, family in families.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind).close()
            worked.append(name)
        except OSError:
            pass
for address in (("127.0.0.1", parameters["port"]), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, 0.5)
        print("CONNECTED", address)
    except OSError:
        pass
try:
    with socket.socket(socket.AF_UNIX) as local:
        local.connect("\0" + parameters["abstract"])
    print("CONNECTED")
except OSError:
    pass
try:
    socket.getaddrinfo("example.com", 80)
    print("CONNECTED")
except OSError:
    pass
reply("worked" if worked else "denied")
