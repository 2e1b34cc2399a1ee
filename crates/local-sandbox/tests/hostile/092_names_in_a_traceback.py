# An error in code it made itself, under a name that a terminal would obey.
# expect: error ZeroDivisionError
# off: none, only the program's own frames are named
name = "\x1b]8;;http://example.com\x07"
exec(compile("def \u0066():\n    1 / 0\nf()", name, "exec"))
