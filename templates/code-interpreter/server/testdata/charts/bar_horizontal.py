plt.barh(["A", "B"], [1, 2])
plt.xlabel("Books")
plt.ylabel("Authors")
