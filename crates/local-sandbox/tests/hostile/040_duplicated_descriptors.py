# Descriptors by copying one.
# expect: denied
# limits: files=32
# off: limits files=256
import os

held = []
try:
    for _ in range(100):
        held.append(os.dup(1))
    verdict = "worked"
except OSError as error:
    verdict = "denied" if error.errno == 24 else str(error)
for descriptor in held:
    os.close(descriptor)
reply(verdict)
