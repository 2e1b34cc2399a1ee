# A pickle in the place of an answer: it would run whatever it names in whoever loads it.
# expect: broken-reply
# off: guard one-reply
# off-expect: believed system
import os, pickle

class Harm:
    def __reduce__(self):
        return os.system, ("touch /tmp/harm",)

os.write(3, pickle.dumps(Harm(), 0))
os._exit(0)
