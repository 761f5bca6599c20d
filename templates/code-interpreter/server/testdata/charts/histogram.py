plt.hist([1, 2, 2, 3, 3, 3], bins=2)
