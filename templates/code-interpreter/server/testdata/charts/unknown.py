fig, ax = plt.subplots()
ax.add_artist(plt.Circle((0, 0), 1))
ax.grid(True)
plt.title("Circle")
