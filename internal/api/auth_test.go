package api_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func TestFirstAdmin_IsMadeOnceByALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link, err := w.people.FirstAdminLink(t.Context())
	require.NoError(t, err)
	token := linkToken.FindStringSubmatch(link)[1]
	another, err := w.people.FirstAdminLink(t.Context())
	require.NoError(t, err)
	body := func(email, token string) fields {
		return fields{"token": token, "email": email, "name": "Ada", "password": password}
	}
	b := w.browser(t)
	require.Contains(t, b.do(t, http.MethodPost, "/auth/first-admin", body("ada@example.com", "wrong")).message(t), "token: ")

	var made atomic.Int32
	var racing sync.WaitGroup
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		one := w.browser(t)
		racing.Go(func() {
			if one.do(t, http.MethodPost, "/auth/first-admin", body(email, token)).status == http.StatusOK {
				made.Add(1)
			}
		})
	}
	racing.Wait()
	require.EqualValues(t, 1, made.Load(), "of three at once, one becomes the first admin")
	b.must(t, http.StatusBadRequest, http.MethodPost, "/auth/first-admin", body("d@example.com", another), nil)
	link, err = w.people.FirstAdminLink(t.Context())
	require.NoError(t, err)
	require.Empty(t, link, "where there is an admin there is no link")
}

func TestLogin_GivesASessionThatEndsWithTheLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.firstAdmin(t)
	b := w.browser(t)
	unknown, wrong := b.login(t, "nobody@example.com", password), b.login(t, "ada@example.com", password+"x")
	require.Equal(t, http.StatusUnauthorized, unknown.status)
	require.Equal(t, unknown.body, wrong.body, "nobody learns who has an account")
	b.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)

	signedIn := b.login(t, " ADA@example.com", password)
	require.Equal(t, http.StatusOK, signedIn.status)
	cookie := signedIn.header.Get("Set-Cookie")
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		require.Contains(t, cookie, attribute)
	}
	require.NotContains(t, cookie, "Secure", "the test speaks HTTP")
	b.learn(t)
	var me struct {
		Email         string
		PlatformAdmin bool
		Teams         []struct{ Role string }
	}
	b.must(t, http.StatusOK, http.MethodGet, "/me", nil, &me)
	require.Equal(t, "ada@example.com", me.Email)
	require.True(t, me.PlatformAdmin)
	require.Equal(t, "owner", me.Teams[0].Role)

	var stored int
	value, _, _ := strings.Cut(strings.TrimPrefix(cookie, "wrenn_session="), ";")
	require.NoError(t, w.pool.QueryRow(t.Context(),
		"SELECT count(*) FROM user_sessions WHERE token_hash = $1", auth.HashKey(value)).Scan(&stored))
	require.Equal(t, 1, stored, "only the hash is stored")

	stolen := http.Header{"Cookie": {"wrenn_session=" + value}}
	thief := w.browser(t)
	require.Equal(t, http.StatusOK, thief.send(t, http.MethodGet, "/me", nil, stolen).status)
	b.must(t, http.StatusNoContent, http.MethodPost, "/auth/logout", nil, nil)
	require.Equal(t, http.StatusUnauthorized, thief.send(t, http.MethodGet, "/me", nil, stolen).status)
}

func TestSession_ChangesNothingWithoutItsCSRFToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	right := admin.csrf
	for _, wrong := range []string{"", "x", auth.CSRFToken("another session")} {
		admin.csrf = wrong
		admin.must(t, http.StatusForbidden, http.MethodPatch, "/me", fields{"name": "Eve"}, nil)
		admin.must(t, http.StatusForbidden, http.MethodPost, "/auth/logout", nil, nil)
	}
	admin.csrf = right
	admin.must(t, http.StatusOK, http.MethodPatch, "/me", fields{"name": "Countess"}, nil)
}

func TestCookies_AreForTLSOnlyBehindTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.firstAdmin(t)
	w.server.Access.PublicURL = "https://wrenn.example.com"
	cookie := w.browser(t).login(t, "ada@example.com", password).header.Get("Set-Cookie")
	require.True(t, strings.HasPrefix(cookie, "__Host-wrenn_session="), cookie)
	require.Contains(t, cookie, "Secure")
}

func TestLogin_IsRateLimitedPerAccountWhateverThePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	admin.member(t, "bob@example.com", "member")
	b := w.browser(t)
	var refused answer
	for tries := 1; ; tries++ {
		require.LessOrEqual(t, tries, 20)
		if refused = b.login(t, "ada@example.com", "a wrong password"); refused.status == http.StatusTooManyRequests {
			break
		}
		require.Equal(t, http.StatusUnauthorized, refused.status)
	}
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	require.Equal(t, refused.header.Get("Retry-After"), refused.header.Get("RateLimit-Reset"))
	require.Equal(t, "0", refused.header.Get("RateLimit-Remaining"))
	require.NotEmpty(t, refused.header.Get("RateLimit-Limit"))
	require.Equal(t, http.StatusTooManyRequests, b.login(t, "ada@example.com", password).status)
	require.Equal(t, http.StatusOK, b.login(t, "bob@example.com", password).status, "others can sign in")
}

func TestPasswordReset_WorksOnceAndEndsAllSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	b := w.browser(t)
	b.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset-request", fields{"email": "nobody@example.com"}, nil)
	b.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset-request", fields{"email": "ada@example.com"}, nil)
	to, token := w.mails.next(t)
	require.Equal(t, "ada@example.com", to, "the address without an account got no mail")

	short := b.do(t, http.MethodPost, "/auth/password/reset", fields{"token": token, "password": "short"})
	require.Equal(t, http.StatusBadRequest, short.status)
	require.Contains(t, short.message(t), "password must have")
	b.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset", fields{"token": token, "password": "a new password"}, nil)
	b.must(t, http.StatusBadRequest, http.MethodPost, "/auth/password/reset", fields{"token": token, "password": "another one!"}, nil)
	admin.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)
	require.Equal(t, http.StatusUnauthorized, b.login(t, "ada@example.com", password).status)
	require.Equal(t, http.StatusOK, b.login(t, "ada@example.com", "a new password").status)
}

func TestPasswordChange_NeedsThePresentOneAndEndsOtherSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	other := w.browser(t)
	require.Equal(t, http.StatusOK, other.login(t, "ada@example.com", password).status)
	admin.must(t, http.StatusForbidden, http.MethodPost, "/auth/password/change", fields{"currentPassword": "wrong", "newPassword": "a new password"}, nil)
	admin.must(t, http.StatusOK, http.MethodPost, "/auth/password/change", fields{"currentPassword": password, "newPassword": "a new password"}, nil)
	admin.must(t, http.StatusOK, http.MethodGet, "/me", nil, nil)
	other.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)
}

func TestLogin_IsNotForPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.firstAdmin(t)
	right := fields{"email": "ada@example.com", "password": password}
	for _, test := range []struct {
		name, value string
		status      int
	}{
		{"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"Sec-Fetch-Site", "same-site", http.StatusForbidden}, // a sandbox of the same domain
		{"Sec-Fetch-Site", "same-origin", http.StatusOK},
		{"Origin", "https://evil.example", http.StatusForbidden},
		{"Origin", w.http.URL, http.StatusOK},
	} {
		got := w.browser(t).send(t, http.MethodPost, "/auth/login", right, http.Header{test.name: {test.value}})
		require.Equal(t, test.status, got.status, "%s: %s", test.name, test.value)
	}
}

func TestPasswordReset_IsMailedAFewTimesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.firstAdmin(t)
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		var statuses []int
		for range 4 {
			statuses = append(statuses, w.browser(t).do(t, http.MethodPost, "/auth/password/reset-request", fields{"email": email}).status)
		}
		require.Equal(t, []int{http.StatusNoContent, http.StatusNoContent, http.StatusNoContent, http.StatusTooManyRequests}, statuses, email)
	}
}
