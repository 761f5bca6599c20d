package channels

import (
	"context"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SetDelay replaces the delay between attempts.
func (w *Worker) SetDelay(delay func(attempt int32) time.Duration) { w.delay = delay }

// BackOff is the delay after an attempt.
func BackOff(attempt int32) time.Duration { return backOff(attempt) }

// Attempts is how many attempts a delivery has.
const Attempts = maxAttempts

// Checked is the config as it would be stored.
func (c Config) Checked(kind Kind) (Config, error) { return c.checked(kind) }

// UseKeyring replaces the keyring.
func (s *Service) UseKeyring(keyring *seal.Keyring) { s.keyring = keyring }

// Sign adds the headers of a signature.
func Sign(header http.Header, secret, deliveryID string, at time.Time, body []byte) error {
	return sign(header, secret, deliveryID, at, body)
}

// NewSecret makes a secret.
func NewSecret() string { return newSecret() }

// RequestOf is the request for an event.
func RequestOf(ctx context.Context, kind Kind, config Config, event events.Event) (*http.Request, error) {
	m := message{kind: kind, config: config, event: event, body: []byte("{}"), deliveryID: "a delivery"}
	return m.request(ctx, time.Now())
}
