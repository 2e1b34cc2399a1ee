# Opens 100 files at once.
# expect: denied
# limits: files=32
# off: limits files=256
held = []
try:
    for _ in range(100):
        held.append(open("/dev/null"))
    verdict = "worked"
except OSError as error:
    verdict = "denied" if error.errno == 24 else str(error)
held.clear()
reply(verdict)
