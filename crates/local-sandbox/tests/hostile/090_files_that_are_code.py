# Files that run code in whoever loads them: kept as bytes, and loaded by nobody.
# expect: files 3
# off: none, the host has nothing that loads them
import os, pickle
import numpy

class Harm:
    def __reduce__(self):
        return os.system, (f"cat {parameters['canary']} > /tmp/harm",)

with open("model.pickle", "wb") as file:
    pickle.dump(Harm(), file)
numpy.save("array.npy", numpy.array([Harm()], dtype=object), allow_pickle=True)
with open("model.joblib", "wb") as file:
    pickle.dump({"model": Harm()}, file)
reply("done")
