# The same by the encoder, which refuses them.
# expect: error ValueError
# off: none, the encoder is the program's own
reply([float("nan"), float("inf")])
