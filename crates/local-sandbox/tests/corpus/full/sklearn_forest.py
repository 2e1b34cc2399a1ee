# answer: [true, "x", true, true]
import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import cross_val_score

random = np.random.default_rng(0)
frame = pd.DataFrame({"noise": random.normal(size=300), "x": random.normal(size=300)})
y = 3 * frame["x"] + random.normal(scale=0.1, size=300)
forest = RandomForestRegressor(60, random_state=0, n_jobs=1).fit(frame, y)
scores = cross_val_score(GradientBoostingRegressor(n_estimators=40, random_state=0), frame, y, cv=3)
weights = permutation_importance(forest, frame, y, n_repeats=3, random_state=0, n_jobs=1)
classes = HistGradientBoostingClassifier(max_iter=30).fit(frame, y > 0)
reply([
    forest.score(frame, y) > 0.95, str(frame.columns[weights.importances_mean.argmax()]), bool(scores.mean() > 0.8),
    bool(classes.score(frame, y > 0) > 0.95),
])
