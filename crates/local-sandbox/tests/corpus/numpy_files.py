# answer: [10, 45, [0, 9]]
import numpy as np

np.save("a.npy", np.arange(10))
mapped = np.load("a.npy", mmap_mode="r")
np.savez_compressed("b.npz", x=mapped)
kept = np.load("b.npz")["x"]
np.savetxt("c.txt", kept)
reply([len(mapped), int(kept.sum()), [int(np.loadtxt("c.txt").min()), int(np.loadtxt("c.txt").max())]])
