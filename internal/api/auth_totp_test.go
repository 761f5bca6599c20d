package api_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authenticator is the app on a person's phone, written down a second time.
func authenticator(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	require.NoError(t, err)
	mac := hmac.New(sha1.New, key)
	require.NoError(t, binary.Write(mac, binary.BigEndian, uint64(at.Unix())/30))
	sum := mac.Sum(nil)
	at4 := sum[sum[19]&15:]
	return fmt.Sprintf("%06d", (uint32(at4[0]&0x7f)<<24|uint32(at4[1])<<16|uint32(at4[2])<<8|uint32(at4[3]))%1e6)
}

// enrolled turns the admin's second factor on. A code of the time that it answers
// has been used.
func enrolled(t *testing.T, admin *browser) (secret string, used time.Time, recovery []string) {
	t.Helper()
	var enrolment struct{ Secret, URL string }
	admin.must(t, http.StatusOK, http.MethodPost, "/auth/totp/enrol", nil, &enrolment)
	require.True(t, strings.HasPrefix(enrolment.URL, "otpauth://totp/Wrenn:ada@example.com?"), enrolment.URL)
	require.Contains(t, enrolment.URL, "secret="+enrolment.Secret)
	admin.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/confirm", fields{"code": "000000x"}, nil)
	var codes struct{ RecoveryCodes []string }
	used = time.Now()
	admin.must(t, http.StatusOK, http.MethodPost, "/auth/totp/confirm", fields{"code": authenticator(t, enrolment.Secret, used)}, &codes)
	require.Len(t, codes.RecoveryCodes, 10)
	return enrolment.Secret, used, codes.RecoveryCodes
}

// challenge signs in with the password and returns what asks for a code.
func (b *browser) challenge(t *testing.T) string {
	t.Helper()
	var got struct {
		SecondFactor         bool
		Challenge, CSRFToken string
	}
	b.must(t, http.StatusOK, http.MethodPost, "/auth/login", fields{"email": "ada@example.com", "password": password}, &got)
	require.True(t, got.SecondFactor)
	require.Empty(t, got.CSRFToken)
	return got.Challenge
}

func TestTOTP_IsAskedForAndEachCodeWorksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, confirmed, _ := enrolled(t, w.firstAdmin(t))
	b := w.browser(t)
	challenge := b.challenge(t)
	b.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)

	// The code that confirmed the factor has been used; the next step's is allowed
	// by the clock's tolerance.
	used, next := authenticator(t, secret, confirmed), authenticator(t, secret, confirmed.Add(30*time.Second))
	b.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/login", fields{"challenge": challenge, "code": used}, nil)
	b.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/login", fields{"challenge": "wrong", "code": next}, nil)
	b.must(t, http.StatusOK, http.MethodPost, "/auth/totp/login", fields{"challenge": challenge, "code": next}, nil)
	b.must(t, http.StatusOK, http.MethodGet, "/me", nil, nil)
	b.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/login", fields{"challenge": challenge, "code": next}, nil)

	var sealed []byte
	require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT totp_secret FROM users").Scan(&sealed))
	require.NotContains(t, string(sealed), secret)
}

func TestTOTP_RecoveryCodesWorkOnceEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	_, _, codes := enrolled(t, admin)
	b := w.browser(t)
	b.must(t, http.StatusOK, http.MethodPost, "/auth/totp/login",
		fields{"challenge": b.challenge(t), "code": strings.ToUpper(codes[3])}, nil)
	b.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/login", fields{"challenge": b.challenge(t), "code": codes[3]}, nil)

	admin.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/remove", fields{"code": "000000"}, nil)
	var renewed struct{ RecoveryCodes []string }
	admin.must(t, http.StatusOK, http.MethodPost, "/auth/totp/recovery-codes", fields{"code": codes[4]}, &renewed)
	admin.must(t, http.StatusUnauthorized, http.MethodPost, "/auth/totp/remove", fields{"code": codes[5]}, nil)
	admin.must(t, http.StatusConflict, http.MethodPost, "/auth/totp/enrol", nil, nil)
	admin.must(t, http.StatusNoContent, http.MethodPost, "/auth/totp/remove", fields{"code": renewed.RecoveryCodes[0]}, nil)
	require.Contains(t, string(b.login(t, "ada@example.com", password).body), "csrfToken")
}

func TestTOTP_IsRateLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, codes := enrolled(t, w.firstAdmin(t))
	b := w.browser(t)
	challenge := b.challenge(t)
	for tries := 1; ; tries++ {
		require.LessOrEqual(t, tries, 20)
		got := b.do(t, http.MethodPost, "/auth/totp/login", fields{"challenge": challenge, "code": "123"})
		if got.status == http.StatusTooManyRequests {
			break
		}
		require.Equal(t, http.StatusUnauthorized, got.status)
	}
	b.must(t, http.StatusTooManyRequests, http.MethodPost, "/auth/totp/login", fields{"challenge": challenge, "code": codes[0]}, nil)
}
