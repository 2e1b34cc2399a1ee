# Services that listen on the machine only: one that waits for it, the product's own, databases.
# expect: denied
# off: guard seccomp
import socket

worked = []
for port in (parameters["port"], 3000, 5432, 6379, 3306, 2375):
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0")):
        try:
            with socket.socket(family) as client:
                worked.append(port)
                client.settimeout(0.2)
                client.connect((address, port))
                print("CONNECTED", port)
        except OSError:
            pass
try:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
except OSError:
    pass
reply("worked" if worked else "denied")
