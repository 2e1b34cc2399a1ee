# answer: [true, true, true]
import numpy as np

rng = np.random.default_rng(3)
square = rng.normal(size=(60, 60))
u, s, v = np.linalg.svd(square)
solved = np.linalg.solve(square, square @ np.ones(60))
values = np.linalg.eigvalsh(square @ square.T)
reply([bool(np.allclose(u * s @ v, square)), bool(np.allclose(solved, 1)), bool((values > -1e-9).all())])
