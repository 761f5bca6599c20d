package route

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

// Errors of signed URLs. E2B's clients compare their texts.
var (
	errBadSignature = errors.New("invalid signature")
	errExpired      = errors.New("signature is already expired")
)

// isSigned reports whether a request to the guest agent is for a file and has a signed
// URL.
func isSigned(r *http.Request) bool {
	return r.URL.Path == "/files" && r.URL.Query().Has(signatureParameter)
}

// file is the file that a URL names, and whose path and user a signature covers.
type file struct{ path, username string }

func fileOf(r *http.Request) file {
	query := r.URL.Query()
	return file{query.Get("path"), query.Get("username")}
}

// verifySignature checks a signed URL, which replaces the token for one path, one user
// and one operation, until it expires if it has an expiration.
func verifySignature(r *http.Request, token string, now time.Time) error {
	query := r.URL.Query()
	operation, ok := operationOf(r.Method)
	// The signed text joins its parts with colons: a user name with a colon could be
	// part of a path.
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

// The operations that a signature can allow.
const (
	operationRead  = "read"
	operationWrite = "write"
)

// signatureFits reports whether a signature was made with the token for an operation.
// It ignores the expiration.
func signatureFits(query url.Values, token, operation string) bool {
	parts := []string{query.Get("path"), operation, query.Get("username"), token}
	if expiration := query.Get(expirationParameter); expiration != "" {
		parts = append(parts, expiration)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	return auth.Equal(query.Get(signatureParameter), signatureVersion+base64.RawStdEncoding.EncodeToString(sum[:]))
}
