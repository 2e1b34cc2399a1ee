# The same by the encoder.
# expect: error RecursionError | error MemoryError
# off: none, the encoder is the program's own
nested = []
for _ in range(100_000):
    nested = [nested]
try:
    reply(nested)
finally:
    while nested:
        nested = nested[0]
