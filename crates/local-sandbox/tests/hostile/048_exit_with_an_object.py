# Ends by an exit that carries an object, and by an interrupt.
# expect: error SystemExit
# off: none, an exit code is a claim
raise SystemExit(type("Odd", (), {"__str__": lambda self: 1 / 0})())
