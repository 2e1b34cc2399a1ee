# answer: [true, true, true, "Linux", true]
import datetime
import os
import platform
import secrets
import time
import uuid

begin = time.monotonic()
time.sleep(0.01)
slept = time.monotonic() - begin >= 0.01
today = datetime.date.today().year >= 2025
stamp = uuid.uuid4() != uuid.uuid4() and len(secrets.token_hex(8)) == 16
cores = (os.cpu_count() or 1) >= 1
reply([slept, today, stamp, platform.system(), cores])
