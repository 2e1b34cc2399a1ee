# answer: 5
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(1)
figure, axes = plt.subplots(1, 5, figsize=(12, 3))
axes[0].hist(rng.normal(size=500), bins=20)
axes[1].scatter(rng.random(50), rng.random(50), c=rng.random(50))
axes[2].imshow(rng.random((8, 8)), cmap="viridis")
axes[3].pie([1, 2, 3], labels=["a", "b", "c"], autopct="%1.0f%%")
axes[4].boxplot([rng.random(20), rng.random(20)])
figure.colorbar(axes[2].images[0])
figure.savefig("kinds.png", dpi=80)
reply(len(axes))
