package respond

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// The headers of rate limits.
const (
	limitLimit     = "RateLimit-Limit"
	limitRemaining = "RateLimit-Remaining"
	limitReset     = "RateLimit-Reset"
)

// TellLimits is a middleware that sets the headers of the rate limits that services
// report.
func TellLimits(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := ratelimit.WithListener(r.Context(), func(standing ratelimit.Standing) { tellLimit(w.Header(), standing) })
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func tellLimit(header http.Header, standing ratelimit.Standing) {
	if standing.Limit > 0 {
		header.Set(limitLimit, strconv.Itoa(standing.Limit))
	}
	header.Set(limitRemaining, strconv.Itoa(max(standing.Remaining, 0)))
	header.Set(limitReset, strconv.Itoa(wholeSeconds(standing.Reset)))
}

// wholeSeconds rounds up: a client that retries after a rounded-down time is refused
// again.
func wholeSeconds(wait time.Duration) int { return int(math.Ceil(wait.Seconds())) }
