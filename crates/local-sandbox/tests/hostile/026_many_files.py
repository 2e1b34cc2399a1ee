# Makes 300 files.
# expect: denied
# landlock: worked
# limits: inodes=100
# off: limits inodes=1000
try:
    for number in range(300):
        open(f"/tmp/{number}", "w").close()
    reply("worked")
except OSError as error:
    reply("denied" if error.errno == 28 else str(error))
