fig, axs = plt.subplots(1, 2)
fig.suptitle("Both")
axs[0].plot([1, 2])
axs[0].set_title("Line")
axs[1].scatter([1], [2])
for ax in axs:
    ax.set_xticks([0, 1])
    ax.set_yticks([1, 2])
