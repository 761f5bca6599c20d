package utils

import (
	"net/http"
	"strconv"
	"time"
)

// KeepaliveInterval is how often a stream sends a keepalive: the seconds of header
// Keepalive-Ping-Interval, from 1 to 3600, or 90 where it is absent or invalid.
func KeepaliveInterval(header http.Header) time.Duration {
	const byDefault, shortest, longest = 90, 1, 3600
	seconds, err := strconv.Atoi(header.Get("Keepalive-Ping-Interval"))
	if err != nil || seconds < shortest {
		seconds = byDefault
	}
	return time.Duration(min(seconds, longest)) * time.Second
}
