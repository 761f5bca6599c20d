package respond

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// Statuses has the HTTP status of each code of a fault.
var Statuses = map[fault.Code]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.PaymentRequired: http.StatusPaymentRequired,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Exhausted:       http.StatusServiceUnavailable,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Timeout:         http.StatusGatewayTimeout,
	fault.Internal:        http.StatusInternalServerError,
	fault.Unsupported:     http.StatusNotImplemented,
}

// retryAfter is the least Retry-After.
const retryAfter = time.Second

// TooSlow is the message of status 408.
const TooSlow = "the body came too slowly"

// Failures answers errors, and logs those of status 500 and above.
type Failures struct {
	Log *slog.Logger
}

// Answer answers an error: a *fault.Error by its code, any other as an internal error
// without its text.
func (f Failures) Answer(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client has disconnected
	}
	if httpserver.TooSlow(r.Context()) {
		Refuse(w, http.StatusRequestTimeout, TooSlow, "", 0)
		return
	}
	shown := shownOf(r.Context(), err)
	status := Statuses[shown.Code]
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented {
		f.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	}
	if shown.Code == fault.RateLimited && shown.RetryAfter > 0 && w.Header().Get(limitRemaining) == "" {
		tellLimit(w.Header(), ratelimit.Standing{Limit: shown.Limit, Reset: shown.RetryAfter})
	}
	Refuse(w, status, shown.Message, shown.Reason, shown.RetryAfter)
}

// Refusal is the body of every answer that refuses a request.
type Refusal struct {
	Code      int    `json:"code"`
	Message   string `json:"message"`
	ErrorCode string `json:"error_code,omitempty"`
}

// shownOf returns the fault that a client is told of. The message of an internal error
// has the request's ID, by which a user's report is found in the log.
func shownOf(ctx context.Context, err error) *fault.Error {
	shown := fault.New(fault.Internal, "internal error")
	if found := (*fault.Error)(nil); errors.As(err, &found) {
		told := *found
		shown = &told
	} else if db.IsUnavailable(err) {
		return fault.Wrap(fault.Unavailable, err, "the database cannot be reached at the moment")
	}
	if shown.Code == fault.Internal {
		shown.Message += " (request " + requestlog.ID(ctx) + ")"
	}
	return shown
}

// RefusalOf returns the refusal of an error in a list of results.
func RefusalOf(ctx context.Context, err error) Refusal {
	shown := shownOf(ctx, err)
	status := Statuses[shown.Code]
	return Refusal{status, shown.Message, adviceFor(status, shown.Reason).errorCode}
}

// CodeAndMessage returns the code and message of an error for clients of volumes.
func CodeAndMessage(ctx context.Context, err error) (fault.Code, string) {
	shown := shownOf(ctx, err)
	return shown.Code, shown.Message
}

// Refuse answers with a refusal, and with headers that say whether and when to retry.
func Refuse(w http.ResponseWriter, status int, message string, reason fault.Reason, wait time.Duration) {
	advice := adviceFor(status, reason)
	switch advice.retry {
	case worthwhile:
		w.Header().Set("Should-Retry", "true")
		w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(max(wait, retryAfter))))
	case pointless:
		w.Header().Set("Should-Retry", "false")
	default:
	}
	JSON(w, status, Refusal{status, message, advice.errorCode})
}
