#!/usr/bin/env python3
"""Signatures by the reference library of the Standard Webhooks specification, for the test of ours.

    venv/bin/pip install standardwebhooks==1.1.0
    venv/bin/python signatures.py      # writes signatures.json
"""

import base64
import json
from datetime import datetime, timezone
from pathlib import Path

from standardwebhooks.webhooks import Webhook

made = []
for number, (length, body) in enumerate(
    [
        (24, '{"test": 2432232314}'),
        (32, "{}"),
        (64, '{"reason":"größer als geplant \\u0007 €"}'),
        (33, '{"spent":9.000000001,"limit":10}'),
        (48, ""),
    ]
):
    key = bytes((number * 37 + place * 11) % 256 for place in range(length))
    secret = "whsec_" + base64.b64encode(key).decode()
    at = datetime(2026, 11, 23, 12, 0, number, tzinfo=timezone.utc)
    identity = f"evt_{number}"
    signature = Webhook(secret).sign(identity, at, body)
    made.append({"secret": secret, "id": identity, "timestamp": int(at.timestamp()), "body": body,
                 "signature": signature})
path = Path(__file__).with_name("signatures.json")
path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
