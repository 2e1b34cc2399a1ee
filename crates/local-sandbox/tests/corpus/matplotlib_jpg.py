# answer: ["ffd8ffe0", true]
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6, 4))
axes.bar(["Jan", "Feb", "M\u00e4r"], [3, 1, 2])
axes.plot([0, 1, 2], [1, 2, 1], marker="o", label="line")
axes.set_title("Sales in \u20ac")
axes.legend()
figure.tight_layout()
figure.savefig("chart.jpg")
with open("chart.jpg", "rb") as file:
    content = file.read()
reply([content[:4].hex(), len(content) > 2000])
