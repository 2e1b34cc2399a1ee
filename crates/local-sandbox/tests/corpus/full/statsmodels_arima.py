# answer: [6, true, true, 3, true, true]
import warnings

import numpy as np
import pandas as pd
from statsmodels.tsa.api import VAR, ExponentialSmoothing
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.stattools import acf, adfuller

warnings.simplefilter("ignore")
months = pd.date_range("2020-01-01", periods=60, freq="MS")
random = np.random.default_rng(2)
season = 10 * np.sin(np.arange(60) * 2 * np.pi / 12)
sales = pd.Series(100 + np.arange(60) + season + random.normal(scale=0.5, size=60), index=months)
fitted = ARIMA(sales, order=(1, 1, 1)).fit()
forecast = fitted.forecast(6)
seasonal = SARIMAX(sales, order=(1, 1, 0), seasonal_order=(1, 0, 0, 12)).fit(disp=0, maxiter=30)
smoothed = ExponentialSmoothing(sales, trend="add", seasonal="add", seasonal_periods=12).fit()
together = VAR(pd.DataFrame({"a": sales.diff().dropna(), "b": sales.diff().shift(1)}).dropna()).fit(1)
reply([
    len(forecast), forecast.index[0] == pd.Timestamp("2025-01-01"), bool(abs(smoothed.forecast(1).iloc[0] - 160) < 3),
    len(seasonal.get_forecast(3).conf_int()), bool(acf(sales.diff().dropna(), nlags=12)[12] > 0.3 and together.k_ar == 1),
    bool(adfuller(random.normal(size=200))[1] < 0.05),
])
