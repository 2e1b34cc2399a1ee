# Answers of objects that raise, lie about their kind and leave, whatever is asked of them.
# expect: answer | error | silent 1
# mode: analysis
# off: none, what leaves is text that the program itself makes
class Hostile(str):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __len__ = __hash__ = __eq__ = __iter__ = __getitem__ = encode = __format__ = __str__

class Frame(pd.DataFrame):
    @property
    def shape(self):
        return (-1, 10**9)

    def to_json(self):
        raise SystemExit(0)

result = {"text": Hostile("x"), "frame": Frame({"a": [1]}), "object": type("X", (), {"__class__": property(lambda self: int)})()}
