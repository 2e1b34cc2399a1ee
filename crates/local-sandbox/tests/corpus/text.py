# answer: [["2025", "01"], "h\u00e9llo w\u00f6rld", {"a": 2, "b": 1}, "a-b_c", 1]
import collections
import difflib
import re
import string
import textwrap
import unicodedata

year = re.findall(r"\d+", "2025-01")
folded = textwrap.fill(unicodedata.normalize("NFC", "he\u0301llo wo\u0308rld"), 40)
counts = dict(collections.Counter("aab"))
name = string.Template("$x-b_c").substitute(x="a")
close = len(difflib.get_close_matches("orders", ["order", "people"]))
reply([year, folded, counts, name, close])
