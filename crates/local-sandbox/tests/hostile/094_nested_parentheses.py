# A million parentheses, compiled.
# expect: denied
# off: none, the compiler's own limit comes first
try:
    compile("(" * 1_000_000 + ")" * 1_000_000, "x", "eval")
    verdict = "worked"
except (SyntaxError, MemoryError, RecursionError, SystemError, ValueError):
    verdict = "denied"
reply(verdict)
