# Thousands of files to be collected.
# expect: files 20
# limits: inodes=4096
# off: guard collect
# off-expect: copied -1999
for number in range(2000):
    open(f"-{number}", "w").close()
reply("done")
