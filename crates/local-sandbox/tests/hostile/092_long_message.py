# An error with a message of ten megabytes, and with characters a terminal would obey.
# expect: error ValueError
# off: none, an error is a claim and cut where it is read
raise ValueError("\x1b]0;title\x07" + "x" * 10_000_000)
