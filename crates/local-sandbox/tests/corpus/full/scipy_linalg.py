# answer: [[2.0, 3.0], [1.0, 3.0], -2.0, true, true, 7.389056]
import numpy as np
from scipy import linalg

a = np.array([[3.0, 1.0], [1.0, 2.0]])
x = linalg.solve(a, [9.0, 8.0])
symmetric = linalg.eigh([[2.0, 1.0], [1.0, 2.0]], eigvals_only=True)
big = np.random.default_rng(3).normal(size=(120, 120))
q, r = linalg.qr(big)
lower, upper = linalg.lu(big, permute_l=True)
u, s, vt = linalg.svd(big)
c = linalg.cholesky(big @ big.T + np.eye(120))
reply([
    [round(float(v), 9) for v in x], [round(float(v), 9) for v in symmetric], round(float(linalg.det([[1.0, 2], [3, 4]])), 9),
    bool(np.allclose(q @ r, big) and np.allclose(lower @ upper, big)), bool(np.allclose((u * s) @ vt, big) and c.shape == (120, 120)),
    round(float(linalg.expm(np.diag([2.0, 1.0]))[0, 0]), 6),
])
