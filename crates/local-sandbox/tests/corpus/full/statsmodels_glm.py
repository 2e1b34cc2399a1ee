# answer: [true, true, true, [0.5, 0.2], "Logit"]
import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

random = np.random.default_rng(11)
x = random.normal(size=2000)
frame = pd.DataFrame({"x": x, "bought": (random.random(2000) < 1 / (1 + np.exp(-(0.3 + 1.2 * x)))).astype(int)})
logit = smf.logit("bought ~ x", frame).fit(disp=0)
binomial = smf.glm("bought ~ x", frame, family=sm.families.Binomial()).fit()
counts = random.poisson(np.exp(0.5 + 0.2 * x))
poisson = sm.GLM(counts, sm.add_constant(x), family=sm.families.Poisson()).fit()
mixed = smf.mixedlm("y ~ x", pd.DataFrame({"x": x, "y": x + random.normal(size=2000), "g": np.arange(2000) % 10}), groups="g").fit()
reply([
    bool(abs(logit.params["x"] - 1.2) < 0.25), bool(np.allclose(logit.params, binomial.params, atol=1e-4)),
    bool(abs(mixed.params["x"] - 1) < 0.1), [round(float(v), 1) for v in poisson.params], type(logit.model).__name__,
])
