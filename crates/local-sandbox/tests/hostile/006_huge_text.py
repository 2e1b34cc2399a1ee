# A text search that no signal interrupts.
# expect: wall
# limits: wall=0.3
# off: limits wall=60 cpu=60
text = "ab" * 40_000
found = 0
for _ in range(60):
    found += sum(text[start:].startswith(text[: start or 1]) for start in range(40_000))
reply("worked")
