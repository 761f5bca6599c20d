plt.plot([1, 2, 3], ["A", "B", "A"])
plt.xticks([1, 2, 3])
