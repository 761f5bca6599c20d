package identity

import (
	"crypto/rand"
	"encoding/base32"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

const (
	totpStepSeconds = 30
	totpSkew        = 1 // steps that the clock of a person's device may be off
	totpSecretBytes = 20
	totpIssuer      = "Wrenn"
	totpPurpose     = "totp:" // and the user's ID: what the secret is sealed for
)

// totpOptions are those that all authenticator apps support.
var totpOptions = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

func newTOTPSecret() []byte {
	secret := make([]byte, totpSecretBytes)
	_, _ = rand.Read(secret) // never fails
	return secret
}

// matchTOTP returns the time step of a code, among the current one and totpSkew before
// and after it. The caller must refuse steps that are not later than the last one used.
func matchTOTP(secret []byte, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / totpStepSeconds
	for candidate := current - totpSkew; candidate <= current+totpSkew; candidate++ {
		// The error is that the code has another length.
		if matches, err := hotp.ValidateCustom(code, uint64(candidate), base32Text.EncodeToString(secret), totpOptions); err == nil && matches {
			step, ok = candidate, true
		}
	}
	return step, ok
}

// totpKey returns the secret as text and the address that an authenticator app reads
// from a QR code.
func totpKey(secret []byte, email string) (Enrolment, error) {
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: totpIssuer, AccountName: email, Secret: secret, Period: totpStepSeconds, Digits: totpOptions.Digits, Algorithm: totpOptions.Algorithm,
	})
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Secret: key.Secret(), URL: key.URL()}, nil
}
