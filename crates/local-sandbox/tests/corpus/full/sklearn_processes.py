# answer: [[0, 1, 4, 9], true, true, ""]
# Processes cannot be had: what would use them works in one.
import contextlib
import io
import warnings

import joblib
import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

random = np.random.default_rng(0)
x = random.normal(size=(300, 3))
y = (x[:, 0] > 0).astype(int)
said = io.StringIO()
with contextlib.redirect_stderr(said), warnings.catch_warnings():
    warnings.simplefilter("default")
    squares = joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(n, 2) for n in range(4))
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3, n_jobs=-1).fit(x, y)
    scores = cross_val_score(LogisticRegression(), x, y, cv=3, n_jobs=2)
    KMeans(2, n_init=1, random_state=0).fit(x)
reply([[int(s) for s in squares], bool(search.best_score_ > 0.9), bool(scores.mean() > 0.9), said.getvalue()[:500]])
