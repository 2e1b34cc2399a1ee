# answer: ["2025-07-01T12:00:00+02:00", "2025-01-01T12:00:00+01:00", "2025-06-30T20:00:00-05:00"]
import datetime
import zoneinfo

import pandas as pd

berlin = zoneinfo.ZoneInfo("Europe/Berlin")
summer = datetime.datetime(2025, 7, 1, 12, tzinfo=berlin)
winter = datetime.datetime(2025, 1, 1, 12, tzinfo=berlin)
lima = pd.Timestamp("2025-07-01 01:00", tz="UTC").tz_convert("America/Lima")
reply([summer.isoformat(), winter.isoformat(), lima.isoformat()])
