# A line that the compiler unfolds to a hundred megabytes.
# expect: denied
# limits: memory=64 wall=15
# off: limits memory=2048
try:
    compile("(" + "1," * 600_000 + ")", "x", "eval")
    verdict = "worked"
except (SyntaxError, MemoryError, RecursionError, SystemError):
    verdict = "denied"
reply(verdict)
