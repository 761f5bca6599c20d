// Package factors makes and checks the codes of second factors: those of authenticator
// apps (TOTP, RFC 6238) and recovery codes.
package factors

import (
	"crypto/rand"
	"encoding/base32"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

const (
	// StepSeconds is how long a code is valid.
	StepSeconds = 30
	skew        = 1 // steps that the clock of a person's device may be off
	secretBytes = 20
	issuer      = "Wrenn"
)

// options are those that all authenticator apps support.
var options = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret makes the secret of an authenticator app.
func NewSecret() []byte {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// Match returns the time step of a code, among the current one and skew before
// and after it. The caller must refuse steps that are not later than the last one used.
func Match(secret []byte, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / StepSeconds
	for candidate := current - skew; candidate <= current+skew; candidate++ {
		// The error is that the code has another length.
		if matches, err := hotp.ValidateCustom(code, uint64(candidate), base32Text.EncodeToString(secret), options); err == nil && matches {
			step, ok = candidate, true
		}
	}
	return step, ok
}

// Enrolment is what an authenticator app needs.
type Enrolment struct {
	Secret string // base32
	URL    string // otpauth:, for a QR code
}

// Enrol describes a secret to the authenticator app of a user.
func Enrol(secret []byte, email string) (Enrolment, error) {
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: issuer, AccountName: email, Secret: secret, Period: StepSeconds, Digits: options.Digits, Algorithm: options.Algorithm,
	})
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Secret: key.Secret(), URL: key.URL()}, nil
}
