package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // what RFC 6238 and every authenticator app uses
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	totpStep        = 30 * time.Second
	totpSkew        = 1 // steps that a clock may be off
	totpSecretBytes = 20
	totpModulus     = 1_000_000
	totpIssuer      = "Wrenn"
	totpPurpose     = "totp:" // and the user's ID
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

func newTOTPSecret() []byte {
	secret := make([]byte, totpSecretBytes)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// totpCode is the code of a step of 30 seconds, by RFC 6238.
func totpCode(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, step) // never fails
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%totpModulus)
}

// matchTOTP returns the step whose code this is, of those that now allows.
func matchTOTP(secret []byte, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / int64(totpStep.Seconds())
	for candidate := current - totpSkew; candidate <= current+totpSkew; candidate++ {
		if auth.Equal(code, totpCode(secret, candidate)) {
			step, ok = candidate, true
		}
	}
	return step, ok
}

// totpURL is what an authenticator app reads from a QR code.
func totpURL(secret []byte, email string) string {
	address := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/" + totpIssuer + ":" + email,
		RawQuery: url.Values{"secret": {base32Text.EncodeToString(secret)}, "issuer": {totpIssuer}}.Encode(),
	}
	return address.String()
}
