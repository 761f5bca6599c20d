package route

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
		require.NoError(t, verifySignature(signedRequest(query), "token", signedAt), name)
	}
}

func TestVerifySignature_KnowsTheProtocolsExample(t *testing.T) {
	// printf '/home/user/a:write:root:secret:1700000060' | openssl sha256 -binary | base64
	query := url.Values{
		"path": {"/home/user/a"}, "username": {"root"}, "signature_expiration": {"1700000060"},
		"signature": {"v1_dhJtxn6pbYYvy03BkGhW9hGFY0pUhSD5Cxifq7TT/Pk"},
	}
	request := signedRequest(query)
	request.Method = http.MethodPost
	require.NoError(t, verifySignature(request, "secret", signedAt))
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
		require.ErrorIs(t, verifySignature(signedRequest(test.query), "token", signedAt), test.want, name)
	}
}

// Colons keep the parts of a signature apart, and paths may hold colons: the only
// other reading of what was signed is one of a user's name that has them.
func TestVerifySignature_HasOneReading(t *testing.T) {
	query := url.Values{
		"path": {"/a"}, "username": {"root:x:read:"}, "signature": {sign("/a:write:root:x", "read", "", "token")},
	}
	request := signedRequest(query)
	request.Method = http.MethodPost
	require.ErrorIs(t, verifySignature(request, "token", signedAt), errBadSignature)
}

func TestVerifySignature_AllowsOneOperation(t *testing.T) {
	for _, test := range []struct {
		method, operation string
		want              error
	}{
		{http.MethodGet, "read", nil},
		{http.MethodHead, "read", nil},
		{http.MethodPost, "write", nil},
		{http.MethodGet, "write", errBadSignature},
		{http.MethodPost, "read", errBadSignature},
		{http.MethodPut, "write", errBadSignature},
		{http.MethodDelete, "write", errBadSignature},
	} {
		request := signedRequest(url.Values{"path": {"/a"}, "signature": {sign("/a", test.operation, "", "token")}})
		request.Method = test.method
		require.ErrorIs(t, verifySignature(request, "token", signedAt), test.want, "%s for %s", test.method, test.operation)
	}
}

// FuzzVerifySignature holds that only the parts that were signed verify.
func FuzzVerifySignature(f *testing.F) {
	f.Add("path=/a&username=root&signature=v1_abc", "token", "/a", "root")
	f.Add("path=/a&signature_expiration=99999999999&signature=v1_", "token", "/a:write:root:", "")
	f.Add("signature=%zz&path=%00;x=1", "", "", "")
	f.Fuzz(func(t *testing.T, rawQuery, token, path, username string) {
		request := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/files", RawQuery: rawQuery}}
		if err := verifySignature(request, token, signedAt); err == nil {
			query := request.URL.Query()
			parts := []string{query.Get("path"), "read", query.Get("username"), token}
			if expiration := query.Get("signature_expiration"); expiration != "" {
				parts = append(parts, expiration)
			}
			require.Equal(t, sign(parts...), query.Get("signature"))
		}
		username = strings.ReplaceAll(username, ":", "")
		signed := url.Values{"path": {path}, "username": {username}, "signature": {sign(path, "read", username, token)}}
		require.NoError(t, verifySignature(signedRequest(signed), token, signedAt))
		require.ErrorIs(t, verifySignature(signedRequest(signed), token+"x", signedAt), errBadSignature)
		signed.Set("path", path+"x")
		require.ErrorIs(t, verifySignature(signedRequest(signed), token, signedAt), errBadSignature)
	})
}
