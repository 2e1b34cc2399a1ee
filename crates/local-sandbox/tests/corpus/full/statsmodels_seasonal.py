# answer: [24, 0.0, true, true, true]
import numpy as np
import pandas as pd
from statsmodels.nonparametric.smoothers_lowess import lowess
from statsmodels.stats.multicomp import pairwise_tukeyhsd
from statsmodels.stats.proportion import proportions_ztest
from statsmodels.tsa.seasonal import STL, seasonal_decompose

months = pd.date_range("2023-01-01", periods=24, freq="MS")
pattern = np.tile(np.arange(12.0), 2)
sales = pd.Series(pattern + np.arange(24), index=months)
parts = seasonal_decompose(sales, model="additive", period=12)
stl = STL(sales, period=12).fit()
figure = parts.plot()
figure.savefig("parts.png")
tukey = pairwise_tukeyhsd([1.0, 1.1, 5.0, 5.1], ["a", "a", "b", "b"])
_, p = proportions_ztest([50, 20], [100, 100])
line = lowess(np.arange(20.0), np.arange(20.0))
reply([
    len(parts.seasonal), round(float(abs(parts.seasonal.iloc[:12].sum())), 6), len(stl.trend) == 24,
    bool(tukey.reject[0] and p < 0.01), bool(np.allclose(line[:, 1], np.arange(20.0))),
])
