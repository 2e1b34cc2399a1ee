# answer: [0.0, 1.0, 2.4495, 0.0705, 0.975, true, 1.0, 1.96, "norm"]
import numpy as np
from scipy import stats

a, b = [1.0, 2, 3, 4, 5], [2.0, 3, 4, 5, 6.5]
slope = stats.linregress(a, [2 * x for x in a])
spearman = stats.spearmanr(a, b)
chi = stats.chi2_contingency([[10, 20], [20, 15]])
t = stats.ttest_ind([1, 2, 3], [3, 4, 5])
fitted = stats.norm.fit(np.linspace(-1, 1, 101))
bootstrapped = stats.bootstrap((np.arange(30.0),), np.mean, n_resamples=200, rng=np.random.default_rng(1))
inside = bootstrapped.confidence_interval.low < 14.5 < bootstrapped.confidence_interval.high
reply([
    round(abs(slope.stderr), 6), round(float(spearman.statistic), 6), round(-float(t.statistic), 4), round(float(t.pvalue), 4),
    round(float(stats.norm.cdf(1.959964)), 3), bool(inside and chi.pvalue < 0.1 and abs(fitted[0]) < 1e-9),
    round(float(stats.kendalltau(a, b).statistic), 6), round(float(stats.norm.ppf(0.975)), 2), stats.norm.name,
])
