# Raises its own limits and those of others. Behind Landlock alone the number of threads is not limited.
# expect: denied
# landlock: worked
# off: guard rlimits
import resource

worked = []
for what, value in ((resource.RLIMIT_NOFILE, 1000), (resource.RLIMIT_AS, 1 << 40), (resource.RLIMIT_NPROC, 1000)):
    try:
        resource.setrlimit(what, (value, value))
        worked.append(what)
    except (OSError, ValueError):
        pass
reply("worked" if worked else "denied")
