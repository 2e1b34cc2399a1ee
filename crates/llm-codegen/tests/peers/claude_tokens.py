"""Reads a text (as JSON) a line and says how many tokens each generation of Claude makes of a message with it."""

import json
import sys

from ctok import token_count

for line in sys.stdin:
    text = json.loads(line)
    print(json.dumps([token_count(text, generation) for generation in ("3.0", "4.7", "5.0")]))
