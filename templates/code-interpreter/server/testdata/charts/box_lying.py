plt.boxplot([[1, 2, 3, 4, 20], [2, 4, 6, 8]], vert=False)
plt.xlabel("Score")
