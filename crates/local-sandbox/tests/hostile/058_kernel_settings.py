# Settings of the kernel, and control groups. Behind Landlock alone, control groups can be listed: DuckDB asks.
# expect: denied
# landlock: worked
# off: guard own-proc,landlock
import os

opened = []
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
             "/proc/kcore", "/proc/keys", "/proc/sys/user/max_user_namespaces"):
    for how in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(path, how))
            opened.append(path)
        except OSError:
            pass
for folder in ("/sys", "/sys/fs/cgroup", "/sys/kernel/debug"):
    try:
        opened += os.listdir(folder)
        os.mkdir(f"{folder}/mine")
    except OSError:
        pass
reply("worked" if opened else "denied")
