# The links of its own process: they lead into its own root.
# expect: denied
# off: guard own-root
import os

read = []
for link in ("/proc/self/root", "/proc/self/cwd/..", "/proc/1/root", "/proc/self/task/1/root", "/proc/thread-self/root"):
    try:
        read.append(open(f"{link}/etc/passwd").read())
    except OSError:
        pass
try:
    open("/proc/self/exe", "r+b").close()
    read.append("exe")
except OSError:
    pass
reply("worked" if read else "denied")
