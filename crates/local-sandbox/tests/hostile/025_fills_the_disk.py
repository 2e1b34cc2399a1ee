# Writes 24 MB, in both folders it may write to.
# expect: denied
# landlock: worked
# limits: scratch=8
# off: limits scratch=64
try:
    for number in range(12):
        for folder in ("/scratch", "/tmp"):
            with open(f"{folder}/{number}", "wb") as file:
                file.write(b"x" * (1 << 20))
    reply("worked")
except OSError as error:
    reply("denied" if error.errno == 28 else str(error))
