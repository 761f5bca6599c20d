package channels_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
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

// What was signed cannot be changed on its way.
func ExampleSign() {
	const secret = "whsec_as-shown-when-the-channel-was-made"
	body := []byte(`{"type": "sandbox.started"}`)
	now := time.Now()
	header := http.Header{}
	header.Set(channels.TimestampHeader, strconv.FormatInt(now.Unix(), 10))
	header.Set(channels.SignatureHeader, channels.Sign(secret, now, body))
	fmt.Println(channels.Verify(secret, header, body, time.Minute))
	fmt.Println(channels.Verify(secret, header, []byte(`{"type": "sandbox.killed"}`), time.Minute))
	// Output:
	// <nil>
	// signature is not valid
}
