plt.pie([1, 3], labels=["a", "b"], autopct="%1.1f%%")
plt.title("Parts")
