// Package keepalive reads how often a client wants to hear that a stream lives.
package keepalive

import (
	"net/http"
	"strconv"
	"time"
)

// Interval is what the client asks for in header Keepalive-Ping-Interval, in
// seconds from 1 to 3600; 90 where it asks for nothing that makes sense.
func Interval(header http.Header) time.Duration {
	const byDefault, shortest, longest = 90, 1, 3600
	seconds, err := strconv.Atoi(header.Get("Keepalive-Ping-Interval"))
	if err != nil || seconds < shortest {
		seconds = byDefault
	}
	return time.Duration(min(seconds, longest)) * time.Second
}
