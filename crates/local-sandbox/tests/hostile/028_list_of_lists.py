# Lists in lists, small pieces of memory by the million.
# expect: denied
# limits: memory=64
# off: limits memory=1024
lists = []
try:
    while len(lists) < 600_000:
        lists.append([len(lists)] * 16)
    verdict = "worked"
except MemoryError:
    verdict = "denied"
del lists
reply(verdict)
