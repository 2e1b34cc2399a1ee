# Prints what a terminal would obey: a title, the clipboard, links, a cleared screen.
# expect: error ValueError
# off: none, what shows words makes them harmless, and has its own tests
import sys

for words in ("\x1b]0;title\x07", "\x1b]52;c;aGFybQ==\x07", "\x1b]8;;http://127.0.0.1\x07link\x1b]8;;\x07", "\x1b[2J\x1b[H", "\x9b31m", "\u202e\r"):
    print(words)
    print(words, file=sys.stderr)
raise ValueError("\x1b]0;title\x07")
