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
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The headers of a webhook. Those of Standard Webhooks (standardwebhooks.com) carry its
// signature: its libraries verify it, in many languages. The ID is that of the delivery
// and stays the same when it is repeated.
const (
	IDHeader        = "Webhook-Id"
	TimestampHeader = "Webhook-Timestamp" // Unix seconds of this attempt
	SignatureHeader = "Webhook-Signature" // "v1," and a MAC in base64

	EventIDHeader   = "Wrenn-Event-Id"
	EventTypeHeader = "Wrenn-Event-Type"
)

// The headers of the signature from before Standard Webhooks, an HMAC-SHA256 over the
// timestamp, a dot and the body. They are sent for one more release.
const (
	oldSignatureHeader = "Wrenn-Signature"
	oldTimestampHeader = "Wrenn-Timestamp"
	oldDeliveryHeader  = "Wrenn-Delivery-Id"
)

const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// ErrSignature says that a request was not signed with the secret, or too long ago.
var ErrSignature = errors.New("signature is not valid")

func newSecret() string {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// signer returns the signer of a secret. The secret is base64, as the libraries of
// receivers expect. One that is not, because its team chose it or an earlier version made
// it, is the key itself.
func signer(secret string) (*standardwebhooks.Webhook, error) {
	if _, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix)); err != nil {
		return standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	return standardwebhooks.NewWebhook(secret)
}

// sign adds the headers of a signature to those of a webhook.
func sign(header http.Header, secret, deliveryID string, at time.Time, body []byte) error {
	with, err := signer(secret)
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	signature, err := with.Sign(deliveryID, at, body)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	seconds := strconv.FormatInt(at.Unix(), 10)
	header.Set(IDHeader, deliveryID)
	header.Set(TimestampHeader, seconds)
	header.Set(SignatureHeader, signature)
	header.Set(oldDeliveryHeader, deliveryID)
	header.Set(oldTimestampHeader, seconds)
	header.Set(oldSignatureHeader, oldSignature(secret, seconds, body))
	return nil
}

func oldSignature(secret, seconds string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%s.%s", seconds, body) // never fails
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify checks for a receiver that a request was signed with the secret, and not longer
// than tolerance ago.
func Verify(secret string, header http.Header, body []byte, tolerance time.Duration) error {
	seconds, err := strconv.ParseInt(header.Get(TimestampHeader), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: its timestamp is missing", ErrSignature)
	}
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return fmt.Errorf("%w: its timestamp is %s away", ErrSignature, age.Round(time.Second))
	}
	with, err := signer(secret)
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	if err := with.VerifyIgnoringTimestamp(body, header); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}
