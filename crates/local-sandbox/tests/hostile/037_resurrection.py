# Objects that refuse to die.
# expect: denied | error MemoryError
# limits: memory=64
# off: limits memory=1024
kept = []

class Undead:
    def __init__(self):
        self.weight = bytes(1 << 20)

    def __del__(self):
        kept.append(self)

try:
    for _ in range(200):
        Undead()
    verdict = "worked"
except MemoryError:
    verdict = "denied"
reply(verdict)
