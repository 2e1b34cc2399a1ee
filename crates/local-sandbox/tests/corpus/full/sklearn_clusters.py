# answer: [[0, 10], 3, 2, true, true]
import numpy as np
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

random = np.random.default_rng(0)
points = np.vstack([random.normal(c, 0.2, size=(60, 2)) for c in ((0, 0), (10, 10), (0, 10))])
means = KMeans(n_clusters=3, n_init=4, random_state=0).fit(points)
found = DBSCAN(eps=1.0).fit_predict(points)
tree = AgglomerativeClustering(3).fit_predict(points)
flat = PCA(2).fit(points)
near = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(points[:1])[1]
map_ = TSNE(2, perplexity=10, max_iter=250, init="pca", random_state=0).fit_transform(points[::3])
reply([
    sorted({int(round(v)) for v in means.cluster_centers_[:, 0]}), len(set(found)), flat.n_components_,
    bool(silhouette_score(points, tree) > 0.9 and near[0][0] == 0), map_.shape == (60, 2),
])
