# Folders without number.
# expect: denied
# limits: inodes=100
# landlock: worked
# off: limits inodes=1000
import os

try:
    for number in range(300):
        os.makedirs(f"/tmp/{number}/deeper")
    reply("worked")
except OSError as error:
    reply("denied" if error.errno == 28 else str(error))
