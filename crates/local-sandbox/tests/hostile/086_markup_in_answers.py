# Markup, formulas and addresses where words are expected: handed over as the texts they are.
# expect: answer
# mode: analysis
# off: none, what shows an answer makes it harmless, and has its own tests
words = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "=cmd|' /C calc'!A0", "+1+1", "-1", "@SUM(A1)", "\t=1", "javascript:alert(1)",
         "</td></table>", "&lt;b&gt;", "{{7*7}}", "${7*7}", "](javascript:alert(1))"]
result = pd.DataFrame({word: words for word in words})
result.attrs["units"] = {words[0]: "<b>"}
chart = {"kind": "bar", "x": words[0], "y": words[1], "title": words[0], "x_title": words[1], "unit": words[0]}
