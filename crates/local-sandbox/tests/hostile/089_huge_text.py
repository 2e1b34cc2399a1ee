# An answer whose text is a hundred megabytes.
# expect: answer | error MemoryError
# mode: analysis
# limits: memory=256
# off: none, the text is cut where it is made
class Huge:
    def __str__(self):
        return "x" * (100 << 20)

result = pd.DataFrame({"a": [Huge(), Huge()]})
