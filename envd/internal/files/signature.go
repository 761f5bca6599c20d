package files

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Errors of signed URLs.
var (
	errBadSignature = errors.New("the signature is wrong")
	errExpired      = errors.New("the signature has expired")
)

const signatureVersion = "v1_"

// VerifySignature checks a URL that stands in for the token: for one path,
// one user, one operation ("read" or "write"), and until it expires, if ever.
func VerifySignature(r *http.Request, token, operation string, now time.Time) error {
	query := r.URL.Query()
	parts := []string{query.Get("path"), operation, query.Get("username"), token}
	expiration := query.Get("signature_expiration")
	if expiration != "" {
		parts = append(parts, expiration)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	want := signatureVersion + base64.RawStdEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(want), []byte(query.Get("signature"))) != 1 {
		return errBadSignature
	}
	if expiration == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(expiration, 10, 64)
	if err != nil {
		return errBadSignature
	}
	if now.Unix() > seconds {
		return errExpired
	}
	return nil
}
