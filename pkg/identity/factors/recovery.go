package factors

import (
	"crypto/rand"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	recoveryBytes = 10 // 80 bits: too many to find the code of a hash
	longestCode   = 64
)

// NewRecoveryCode makes a recovery code: four groups of four characters.
func NewRecoveryCode() string {
	secret := make([]byte, recoveryBytes)
	_, _ = rand.Read(secret) // never fails
	text := strings.ToLower(base32Text.EncodeToString(secret))
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// HashRecoveryCode is the hash under which a recovery code is stored. It ignores case,
// spaces and hyphens.
func HashRecoveryCode(code string) []byte {
	code = code[:min(len(code), longestCode)]
	return auth.HashKey(strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code)))
}
