# Values at the edge of everything, in one table.
# expect: answer
# mode: analysis
# off: none, the answer is read by the host's own rules
import datetime, decimal

odd = [float("nan"), float("inf"), -float("inf"), 1e308, 5e-324, 10**400, -(10**400), 10**5000, 2**63, True, None, b"\xff\x00",
       decimal.Decimal("1E+999999"), decimal.Decimal("1E-999999"), decimal.Decimal("NaN"), decimal.Decimal("sNaN"),
       decimal.Decimal("1" * 3000), datetime.datetime.max, datetime.date.min, datetime.timedelta.max, datetime.time(1),
       "\ud800", "\x00\x1b[2J", "a" * 100_000, complex(1, 2), object(), type, [1] * 1000, {"a": {"b": 1}}, pd.NaT, pd.NA,
       pd.Timestamp.max, pd.Period("2025"), pd.Interval(0, 1), np.float16(1), np.datetime64("NaT"), np.array([1, 2])]
result = pd.DataFrame({"odd": pd.Series(odd, dtype=object)})
