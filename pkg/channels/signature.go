package channels

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The headers of what a webhook gets. The signature is over the timestamp, a dot
// and the body. A receiver refuses timestamps that are long past, and events
// that it has seen before: one can come more than once.
const (
	SignatureHeader = "Wrenn-Signature"
	TimestampHeader = "Wrenn-Timestamp" // Unix seconds of this attempt
	EventIDHeader   = "Wrenn-Event-Id"
	EventTypeHeader = "Wrenn-Event-Type"
	DeliveryHeader  = "Wrenn-Delivery-Id"
)

const (
	signatureVersion = "v1="
	secretPrefix     = "whsec_"
	secretBytes      = 32
)

// ErrSignature says that a request was not signed with the secret, or too long
// ago.
var ErrSignature = errors.New("signature is not valid")

func newSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return secretPrefix + base64.RawURLEncoding.EncodeToString(secret)
}

// Sign returns the signature of a body that is sent at a time.
func Sign(secret string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(body)
	return signatureVersion + hex.EncodeToString(mac.Sum(nil))
}

// Verify checks, for a receiver, that a request was signed with the secret not
// longer than tolerance ago.
func Verify(secret string, header http.Header, body []byte, tolerance time.Duration) error {
	seconds, err := strconv.ParseInt(header.Get(TimestampHeader), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: its timestamp is missing", ErrSignature)
	}
	at := time.Unix(seconds, 0)
	if age := time.Since(at); age > tolerance || age < -tolerance {
		return fmt.Errorf("%w: its timestamp is %s away", ErrSignature, age.Round(time.Second))
	}
	if !hmac.Equal([]byte(header.Get(SignatureHeader)), []byte(Sign(secret, at, body))) {
		return ErrSignature
	}
	return nil
}
