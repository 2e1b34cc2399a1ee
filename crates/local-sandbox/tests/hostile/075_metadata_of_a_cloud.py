# The addresses where clouds hand out credentials.
# expect: denied
# off: guard seccomp
import errno, socket, urllib.request

worked = []
for family, address in ((socket.AF_INET, "169.254.169.254"), (socket.AF_INET6, "fd00:ec2::254")):
    try:
        with socket.socket(family) as service:
            worked.append("socket")
            service.settimeout(0.3)
            service.connect((address, 80))
            print("CONNECTED", address)
    except OSError:
        pass
for name in ("metadata.google.internal", "metadata", "instance-data"):
    try:
        urllib.request.urlopen(f"http://{name}/", timeout=0.3)
        print("CONNECTED", name)
    except OSError:
        pass
reply("worked" if worked else "denied")
