# A figure the size of a house.
# expect: denied
# limits: memory=96
# off: limits memory=2048
import matplotlib.pyplot as plt

figure = plt.figure(figsize=(70, 70), dpi=100)
try:
    figure.canvas.draw()
    verdict = "worked"
except (MemoryError, ValueError, RuntimeError):
    verdict = "denied"
reply(verdict)
