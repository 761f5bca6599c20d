package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// statuses gives each code of a fault its HTTP status.
var statuses = map[fault.Code]int{
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

// retryAfter is what a client is asked to wait at least that may try again.
const retryAfter = time.Second

// tooSlow is said with status 408.
const tooSlow = "the body came too slowly"

// fail answers an error. What is not a fault is logged in full and shown as
// "internal".
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client left; nobody reads an answer
	}
	if httpserver.TooSlow(r.Context()) {
		refuse(w, http.StatusRequestTimeout, tooSlow, "", 0)
		return
	}
	var shown *fault.Error
	switch {
	case errors.As(err, &shown):
	case db.IsUnavailable(err):
		shown = fault.Wrap(fault.Unavailable, err, "the database cannot be reached at the moment")
	default:
		shown = fault.Wrap(fault.Internal, err, "internal error")
	}
	status := statuses[shown.Code]
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented {
		s.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	}
	if shown.Code == fault.RateLimited && shown.RetryAfter > 0 && w.Header().Get(limitRemaining) == "" {
		tellLimit(w.Header(), ratelimit.Standing{Limit: shown.Limit, Reset: shown.RetryAfter})
	}
	refuse(w, status, shown.Message, shown.Reason, shown.RetryAfter)
}

// refusal is the body of every answer that is one.
type refusal struct {
	Code      int    `json:"code"`
	Message   string `json:"message"`
	ErrorCode string `json:"error_code,omitempty"`
}

// refuse answers with a refusal, and says whether and when to try again.
func refuse(w http.ResponseWriter, status int, message string, reason fault.Reason, wait time.Duration) {
	given := adviceFor(status, reason)
	switch given.retry {
	case worthwhile:
		w.Header().Set("Should-Retry", "true")
		w.Header().Set("Retry-After", strconv.Itoa(wholeSeconds(max(wait, retryAfter))))
	case pointless:
		w.Header().Set("Should-Retry", "false")
	default:
	}
	writeJSON(w, status, refusal{status, message, given.errorCode})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that left is no concern here
}
