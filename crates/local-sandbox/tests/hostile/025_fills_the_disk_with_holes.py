# Files of holes, filled by copies.
# expect: denied
# limits: scratch=8
# landlock: worked
# off: limits scratch=64
import shutil

try:
    with open("source", "wb") as file:
        file.write(bytes(4 << 20))
    for number in range(5):
        shutil.copyfile("source", f"copy-{number}")
    reply("worked")
except OSError as error:
    reply("denied" if error.errno == 28 else str(error))
