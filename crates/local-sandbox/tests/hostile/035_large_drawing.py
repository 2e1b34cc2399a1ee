# A drawing with an element for every point.
# expect: denied
# limits: file=1
# off: limits file=64
import matplotlib.pyplot as plt

figure, axes = plt.subplots()
axes.scatter(range(15_000), range(15_000), marker="x")
try:
    figure.savefig("points.svg")
    verdict = "worked"
except OSError as error:
    verdict = "denied" if error.errno == 27 else str(error)
reply(verdict)
