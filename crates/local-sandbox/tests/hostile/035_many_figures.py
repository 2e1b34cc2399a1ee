# Figures that nobody closes.
# expect: denied | memory
# limits: memory=64
# off: limits memory=1024
import warnings
import matplotlib.pyplot as plt

warnings.simplefilter("ignore")
try:
    for _ in range(300):
        plt.figure().canvas.draw()
    verdict = "worked"
except MemoryError:
    verdict = "denied"
plt.close("all")
reply(verdict)
