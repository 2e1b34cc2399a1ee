# Files of the machine.
# expect: denied
# off: guard own-root
import os

found = []
for path in ("/etc/passwd", "/etc/shadow", "/root", "/home", "/var", "/sys", "/old", "/bin", "/usr/bin", "/boot", "/run"):
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            open(path).read()
        found.append(path)
    except OSError:
        pass
reply("worked" if found else "denied")
