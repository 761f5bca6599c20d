package files

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sign makes a signature as the SDKs do.
func sign(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	return "v1_" + strings.TrimRight(base64.StdEncoding.EncodeToString(sum[:]), "=")
}

func signedRequest(query url.Values) *http.Request {
	return httptest.NewRequest(http.MethodGet, "/files?"+query.Encode(), http.NoBody)
}

// signedAt is when the URLs of these tests are used.
var signedAt = time.Unix(1_700_000_000, 0)

func secondsAt(offset time.Duration) string {
	return strconv.FormatInt(signedAt.Add(offset).Unix(), 10)
}

func TestVerifySignature_AcceptsWhatTheTokensOwnerSigned(t *testing.T) {
	soon := secondsAt(time.Minute)
	now := secondsAt(0)
	for name, query := range map[string]url.Values{
		"default user": {"path": {"/a"}, "signature": {sign("/a", "read", "", "token")}},
		"named user":   {"path": {"~/ü?&"}, "username": {"root"}, "signature": {sign("~/ü?&", "read", "root", "token")}},
		"no path":      {"signature": {sign("", "read", "", "token")}},
		"expiry": {
			"path": {"/a"}, "signature_expiration": {soon}, "signature": {sign("/a", "read", "", "token", soon)},
		},
		"the last second": {
			"path": {"/a"}, "signature_expiration": {now}, "signature": {sign("/a", "read", "", "token", now)},
		},
	} {
		require.NoError(t, VerifySignature(signedRequest(query), "token", "read", signedAt), name)
	}
}

func TestVerifySignature_KnowsTheProtocolsExample(t *testing.T) {
	// printf '/home/user/a:write:root:secret:1700000060' | openssl sha256 -binary | base64
	query := url.Values{
		"path": {"/home/user/a"}, "username": {"root"}, "signature_expiration": {"1700000060"},
		"signature": {"v1_dhJtxn6pbYYvy03BkGhW9hGFY0pUhSD5Cxifq7TT/Pk"},
	}
	require.NoError(t, VerifySignature(signedRequest(query), "secret", "write", signedAt))
}

func TestVerifySignature_RefusesEverythingElse(t *testing.T) {
	soon, late := secondsAt(time.Minute), secondsAt(-time.Second)
	good := sign("/a", "read", "root", "token")
	for name, test := range map[string]struct {
		query url.Values
		want  error
	}{
		"no signature":       {url.Values{"path": {"/a"}}, errBadSignature},
		"no version":         {url.Values{"path": {"/a"}, "username": {"root"}, "signature": {good[3:]}}, errBadSignature},
		"padding":            {url.Values{"path": {"/a"}, "username": {"root"}, "signature": {good + "="}}, errBadSignature},
		"another token":      {url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "forged")}}, errBadSignature},
		"no token":           {url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "")}}, errBadSignature},
		"another path":       {url.Values{"path": {"/b"}, "username": {"root"}, "signature": {good}}, errBadSignature},
		"the path otherwise": {url.Values{"path": {"/a/"}, "username": {"root"}, "signature": {good}}, errBadSignature},
		"another user":       {url.Values{"path": {"/a"}, "username": {"nobody"}, "signature": {good}}, errBadSignature},
		"the default user":   {url.Values{"path": {"/a"}, "signature": {good}}, errBadSignature},
		"another operation":  {url.Values{"path": {"/a"}, "signature": {sign("/a", "write", "", "token")}}, errBadSignature},
		"an expiry added": {
			url.Values{"path": {"/a"}, "username": {"root"}, "signature": {good}, "signature_expiration": {soon}}, errBadSignature,
		},
		"the expiry removed": {
			url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "token", late)}}, errBadSignature,
		},
		"the expiry put off": {
			url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "token", late)}, "signature_expiration": {soon}}, errBadSignature,
		},
		"an expiry that is no number": {
			url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "token", "never")}, "signature_expiration": {"never"}}, errBadSignature,
		},
		"an expiry that passed": {
			url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "token", late)}, "signature_expiration": {late}}, errExpired,
		},
		"an expiry before time began": {
			url.Values{"path": {"/a"}, "signature": {sign("/a", "read", "", "token", "-1")}, "signature_expiration": {"-1"}}, errExpired,
		},
		"a second path": {
			url.Values{"path": {"/etc/shadow", "/a"}, "username": {"root"}, "signature": {good}}, errBadSignature,
		},
	} {
		require.ErrorIs(t, VerifySignature(signedRequest(test.query), "token", "read", signedAt), test.want, name)
	}
}

// Colons keep the parts of a signature apart, and paths may hold colons. No
// reading but the signer's may name a user that can exist.
func TestVerifySignature_HasOneReadingForEveryUser(t *testing.T) {
	signature := sign("/a:write:root:x", "read", "", "token")
	query := url.Values{"path": {"/a"}, "username": {"root:x:read:"}, "signature": {signature}}
	require.NoError(t, VerifySignature(signedRequest(query), "token", "write", signedAt), "this reading is there")
	g := newGuest(t)
	query.Del("signature")
	require.Equal(t, http.StatusUnauthorized, g.ask(http.MethodGet, "/files", query, http.NoBody).status, "but there is no such user")
}
