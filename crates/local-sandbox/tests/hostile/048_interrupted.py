# Raises what a keyboard would.
# expect: error KeyboardInterrupt
# off: none, an error is a claim
raise KeyboardInterrupt
