# answer: [true, true, [0, 1, 4, 9], true]
import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

random = np.random.default_rng(0)
x = random.normal(size=(400, 4))
y = (x[:, 0] + x[:, 1] > 0).astype(int)
alone = RandomForestClassifier(40, random_state=0, n_jobs=1).fit(x, y)
threads = RandomForestClassifier(40, random_state=0, n_jobs=4).fit(x, y)
squares = joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(pow)(n, 2) for n in range(4))
with joblib.parallel_config(backend="threading", n_jobs=2):
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [3, 9]}, cv=3).fit(x, y)
reply([
    bool((alone.predict(x) == threads.predict(x)).all()), bool(threads.score(x, y) > 0.95), [int(s) for s in squares],
    bool(search.best_score_ > 0.8),
])
