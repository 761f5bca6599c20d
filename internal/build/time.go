package build

import (
	"fmt"
	"time"
)

// describe is a duration for people.
func describe(duration time.Duration) string {
	switch {
	case duration >= time.Hour && duration%time.Hour == 0:
		return plural(int(duration/time.Hour), "hour")
	case duration >= time.Minute && duration%time.Minute == 0:
		return plural(int(duration/time.Minute), "minute")
	default:
		return plural(int(duration/time.Second), "second")
	}
}

func plural(count int, unit string) string {
	if count == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", count, unit)
}
