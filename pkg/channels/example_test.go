package channels_test

import (
	"io"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
)

// A receiver verifies a request before it uses it. Receivers in other languages use a
// library of Standard Webhooks.
func ExampleVerify() {
	const secret = "whsec_c2hvd24gd2hlbiB0aGUgY2hhbm5lbCBpcyBtYWRlIQ=="
	http.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "body", http.StatusBadRequest)
			return
		}
		if err := channels.Verify(secret, r.Header, body, 5*time.Minute); err != nil {
			http.Error(w, "signature", http.StatusUnauthorized)
			return
		}
		// Here the event is handled, once for each Webhook-Id.
		w.WriteHeader(http.StatusNoContent)
	})
}
