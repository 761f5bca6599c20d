import datetime

days = [datetime.date(2023, 9, 1) + datetime.timedelta(days=day) for day in range(3)]
plt.plot(days, [1, 2, 4], label="sin(x)")
plt.plot(days, [2, 2, float("nan")], "--")
plt.axhline(2)
plt.xlabel("Time (s)")
plt.ylabel("Amplitude (Hz)")
plt.xticks(days)
plt.yticks([1, 2, 4])
