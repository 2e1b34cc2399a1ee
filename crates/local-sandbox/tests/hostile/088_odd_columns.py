# Names of columns that mean something to whoever reads them, twice, and without end.
# expect: answer
# mode: analysis
# off: none, the answer is read by the host's own rules
names = ["__proto__", "constructor", "toString", "", " ", "a", "a", "a", None, 1, 1.5, ("x", "y"), "\x1b[2J", "\ud800", "<b>", "=cmd()", "x" * 10_000]
result = pd.DataFrame([[1] * (len(names) + 500)], columns=names + ["same"] * 500)
result.attrs = {"units": {"a": "u" * 10_000, "__proto__": "x"}, "scale": {"a": 10**9}}
chart = [{"kind": "bar", "x": "__proto__", "y": ["a"] * 1000, "title": "t" * 10_000}] * 100
