package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Query parameters of a signed URL.
const (
	signatureParameter  = "signature"
	expirationParameter = "signature_expiration"
)

const signatureVersion = "v1_"

// Errors of signed URLs, in the words that E2B's clients look for.
var (
	errBadSignature = errors.New("invalid signature")
	errExpired      = errors.New("signature is already expired")
)

// isSigned says whether a request to the guest agent is one for a file whose URL
// is signed.
func isSigned(r *http.Request) bool {
	return r.URL.Path == "/files" && r.URL.Query().Has(signatureParameter)
}

// file is what a URL names and a signature is for.
type file struct{ path, username string }

func fileOf(r *http.Request) file {
	query := r.URL.Query()
	return file{query.Get("path"), query.Get("username")}
}

// verifySignature checks a URL that stands in for the token: for one path, one
// user, one operation, and until it expires, if ever.
func verifySignature(r *http.Request, token string, now time.Time) error {
	query := r.URL.Query()
	operation, ok := operationOf(r.Method)
	// A user's name with a colon would be another reading of a path that has them.
	if !ok || strings.Contains(query.Get("username"), ":") || !signatureFits(query, token, operation) {
		return errBadSignature
	}
	expiration := query.Get(expirationParameter)
	if expiration == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(expiration, 10, 64)
	switch {
	case err != nil:
		return errBadSignature
	case now.Unix() > seconds:
		return errExpired
	default:
		return nil
	}
}

func operationOf(method string) (operation string, ok bool) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return operationRead, true
	case http.MethodPost:
		return operationWrite, true
	default:
		return "", false
	}
}

// What a signature allows.
const (
	operationRead  = "read"
	operationWrite = "write"
)

// signatureFits says whether the token's owner signed for an operation, whatever
// the time is.
func signatureFits(query url.Values, token, operation string) bool {
	parts := []string{query.Get("path"), operation, query.Get("username"), token}
	if expiration := query.Get(expirationParameter); expiration != "" {
		parts = append(parts, expiration)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	return auth.Equal(query.Get(signatureParameter), signatureVersion+base64.RawStdEncoding.EncodeToString(sum[:]))
}
