# An error that came from an error, ten thousand times.
# expect: error ValueError | error RecursionError
# off: none, an error is a claim and cut where it is read
error = None
for number in range(10_000):
    new = ValueError(number)
    new.__cause__, error = error, new
raise error
