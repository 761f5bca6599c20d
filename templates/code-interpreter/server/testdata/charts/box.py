data = {"A": [85, 90, 78, 92, 88], "B": [95, 89, 76, 91, 84, 87, 140], "C": [75, 82, 88, 79, 86]}
fig, ax = plt.subplots(figsize=(10, 6))
ax.boxplot(data.values(), labels=data.keys())
ax.set_title("Exam")
ax.set_xlabel("Class")
ax.set_ylabel("Score")
ax.boxplot(data.values(), labels=data.keys(), patch_artist=True)
