package channels_test

import (
	"io"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
)

// A receiver checks who sent a request before it believes it.
func ExampleVerify() {
	const secret = "whsec_as-shown-when-the-channel-was-made"
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
		// Here the event is handled, once for each Wrenn-Event-Id.
		w.WriteHeader(http.StatusNoContent)
	})
}
