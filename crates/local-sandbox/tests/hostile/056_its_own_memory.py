# Writes to its own memory past the protection of pages, reads its environment through /proc.
# expect: denied
# off: guard dumpable,landlock
try:
    open("/proc/self/mem", "r+b").close()
    reply("worked")
except OSError:
    reply("denied")
