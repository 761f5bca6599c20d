plt.semilogy([1, 2, 3], [1, 10, 100])
plt.xticks([1, 2, 3])
plt.yticks([1, 10, 100], ["one", "ten", "hundred"])
