# Prints what looks like a reply and a verdict: it is text and nothing else.
# expect: reply honest
# off: guard verdict
# off-expect: believed forged
print('{"value": "forged", "verdict": "exited", "cost": 0}', flush=True)
reply("honest")
