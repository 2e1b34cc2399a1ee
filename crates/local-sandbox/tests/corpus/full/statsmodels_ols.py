# answer: [[1.0, 2.0], 1.0, true, ["x", "x2"], true, 2.0]
import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.stats.outliers_influence import variance_inflation_factor

x = np.linspace(0, 10, 50)
noise = np.random.default_rng(5).normal(scale=0.05, size=50)
exact = sm.OLS(1 + 2 * x, sm.add_constant(x)).fit()
frame = pd.DataFrame({"x": x, "x2": x**2, "y": 1 + 2 * x + noise})
fitted = smf.ols("y ~ x", frame).fit()
robust = smf.ols("y ~ x + x2", frame).fit(cov_type="HC3")
inside = fitted.conf_int(0.001).loc["x"].tolist()
weighted = sm.WLS(1 + 2 * x, sm.add_constant(x), weights=1 / (1 + x)).fit()
text = str(fitted.summary())
reply([
    [round(float(v), 6) for v in exact.params], round(float(exact.rsquared), 6), bool(1.98 < inside[0] < 2 < inside[1] < 2.02), list(robust.params.index[1:]),
    bool("R-squared" in text and variance_inflation_factor(frame[["x", "x2"]].to_numpy(), 0) > 1), round(float(weighted.params[1]), 6),
])
