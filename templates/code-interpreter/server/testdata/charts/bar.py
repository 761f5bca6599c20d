plt.bar(["A", "B", "C"], [1, 2.5, 3])
plt.xlabel("Authors")
plt.ylabel("Books [k]")
plt.title("Sales")
