# answer: [[1.0, 2.0, 3.0], 3, 8.0, [0.0, 1.0, 3.0], 2, 6, true]
import io

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

matrix = sparse.csr_matrix(sparse.diags([2.0, 4.0, 6.0]))
solution = linalg.spsolve(matrix.tocsc(), np.array([2.0, 8.0, 18.0]))
[largest] = linalg.eigsh(sparse.diags(np.arange(1.0, 9.0)), k=1, which="LA", return_eigenvectors=False)
roads = sparse.csr_matrix(np.array([[0, 1, 9], [0, 0, 2], [0, 0, 0]]))
distances = csgraph.dijkstra(roads, indices=0)
groups, _ = csgraph.connected_components(sparse.csr_matrix(np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]])), directed=False)
file = io.BytesIO()
sparse.save_npz(file, matrix)
file.seek(0)
conjugate, failed = linalg.cg(matrix, np.ones(3))
again = sparse.load_npz(file)
u, s, v = linalg.svds(sparse.random(20, 10, density=0.5, rng=np.random.default_rng(0), format="csr"), k=2)
reply([
    [float(v) for v in solution], matrix.nnz, round(float(largest), 6), [float(v) for v in distances], int(groups),
    int(sparse.hstack([matrix, matrix]).shape[1]), bool((again != matrix).nnz == 0 and failed == 0 and s[1] >= s[0]),
])
