# answer: ["\u00fcber", "\u20ac", "\u3042"]
with open("l.csv", "w", encoding="latin-1") as file:
    file.write("\u00fcber")
with open("w.csv", "w", encoding="cp1252") as file:
    file.write("\u20ac")
reply([
    open("l.csv", encoding="latin-1").read(),
    open("w.csv", encoding="cp1252").read(),
    "\u3042".encode("shift_jis").decode("shift_jis"),
])
