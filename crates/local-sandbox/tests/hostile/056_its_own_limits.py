# Files under its own process that it could write to: how soon it is killed for memory, its name, its maps.
# expect: denied
# off: guard dumpable,landlock
worked = []
for name in ("oom_score_adj", "comm", "coredump_filter", "clear_refs", "uid_map", "setgroups", "timens_offsets", "attr/current"):
    try:
        open(f"/proc/self/{name}", "r+b").close()
        worked.append(name)
    except OSError:
        pass
reply("worked" if worked else "denied")
