# A text of gigabytes in one step: the error is the program's, and says what it is.
# expect: error MemoryError
# limits: memory=128
# off: limits memory=1024
long = "a" * (300 << 20)
if len(long) < 1 << 34:
    reply("worked")
