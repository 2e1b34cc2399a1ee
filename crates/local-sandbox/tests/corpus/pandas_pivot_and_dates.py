# answer: {"2025-01": 60.5, "2025-02": 40.0}
import pandas as pd

frame = pd.read_csv("/data/orders.csv", parse_dates=["day"])
table = frame.pivot_table(index=frame.day.dt.to_period("M"), values="amount", aggfunc="sum")
rolling = frame.set_index("day").amount.resample("W").sum().rolling(2).mean()
assert rolling.notna().any()
reply({str(month): float(total) for month, total in table.amount.items()})
