# Sockets of the machine's own services: by path and by abstract name.
# expect: denied
# off: guard seccomp
import socket

worked = []
for name in ("\0" + parameters["abstract"], "\0/tmp/.X11-unix/X0", "/tmp/.X11-unix/X0", "/run/docker.sock",
             "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/notify", "/run/postgresql/.s.PGSQL.5432"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            with socket.socket(socket.AF_UNIX, kind) as client:
                worked.append("socket")
                client.connect(name)
                print("CONNECTED", name)
        except OSError:
            pass
reply("worked" if worked else "denied")
