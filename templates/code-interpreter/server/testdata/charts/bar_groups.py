import numpy as np

x = np.arange(3)
plt.bar(x - 0.2, [1, 2, 3], 0.4, label="g1")
plt.bar(x + 0.2, [3, 2, 1], 0.4, label="g2")
plt.xticks(x, ["a", "b", "c"])
plt.legend()
plt.grid(True)
