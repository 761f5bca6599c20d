package channels

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// SetDelay replaces the time between two attempts.
func (w *Worker) SetDelay(delay func(attempt int32) time.Duration) { w.delay = delay }

// BackOff is the time that follows an attempt.
func BackOff(attempt int32) time.Duration { return backOff(attempt) }

// Attempts is how many a delivery has.
const Attempts = maxAttempts

// ParseConfig reads the config of a kind.
func ParseConfig(kind Kind, raw json.RawMessage) (Config, error) { return parseConfig(kind, raw) }

// RequestOf is how an event is sent.
func RequestOf(ctx context.Context, kind Kind, config Config, event events.Event) (*http.Request, error) {
	m := message{kind: kind, config: config, event: event, body: []byte("{}"), deliveryID: "a delivery"}
	return m.request(ctx, time.Now())
}
