# Looks for other processes, and for the machine through them (Landlock hides what is in a file, not that it is there).
# expect: denied
# landlock: denied | worked
# off: guard own-proc,landlock
import os

try:
    others = [name for name in os.listdir("/proc") if name.isdigit() and name != "1"]
except OSError:
    others = []
links = [f"/proc/1/{link}/{path}" for link in ("root", "cwd/..") for path in ("etc/passwd", "old")]
for path in links + ["/proc/sysrq-trigger"]:
    if os.path.exists(path):
        others.append(path)
reply("worked" if others else "denied")
