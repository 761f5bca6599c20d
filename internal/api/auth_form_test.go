package api_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

// assertions is an identity provider that sends the browser back with a form, as one of
// SAML does.
type assertions struct{}

const assertionsURL = "https://idp.example.com/sign-in"

func (assertions) Name() string { return "saml" }

func (assertions) Title() string { return "Example Corp" }

func (assertions) Begin(_ context.Context, attempt identity.Attempt) (string, error) {
	return assertionsURL + "?RelayState=" + url.QueryEscape(attempt.State), nil
}

func (assertions) Finish(_ context.Context, _ identity.Attempt, callback *http.Request) (identity.ExternalIdentity, error) {
	email := callback.PostFormValue("email")
	return identity.ExternalIdentity{Subject: email, Email: email, EmailVerified: true}, nil
}

// post sends the form of the provider, from its page.
func (b *browser) post(t *testing.T, form url.Values) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.http.URL+"/auth/oidc/saml/callback", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://idp.example.com")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := b.client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

func (b *browser) beginForm(t *testing.T) (state string, begun answer) {
	t.Helper()
	begun = b.do(t, http.MethodGet, "/auth/oidc/saml/start", nil)
	require.Equal(t, http.StatusFound, begun.status, "%s", begun.body)
	to, err := url.Parse(begun.header.Get("Location"))
	require.NoError(t, err)
	return to.Query().Get("RelayState"), begun
}

func TestExternalForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.people.AddProvider(assertions{}))
	ada := w.firstAdmin(t)

	t.Run("signs in the browser that began", func(t *testing.T) {
		b := w.browser(t)
		state, _ := b.beginForm(t)
		back := b.post(t, url.Values{"RelayState": {state}, "email": {"ada@example.com"}})
		require.Equal(t, http.StatusFound, back.StatusCode)
		require.Equal(t, w.http.URL+"/", back.Header.Get("Location"))
		b.learn(t)
		require.Equal(t, ada.userID, b.userID)
	})
	t.Run("refuses the state of another browser", func(t *testing.T) {
		attacker, victim := w.browser(t), w.browser(t)
		state, _ := attacker.beginForm(t)
		victim.beginForm(t)
		for _, b := range []*browser{victim, w.browser(t)} {
			refused := b.post(t, url.Values{"RelayState": {state}, "email": {"ada@example.com"}})
			require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			b.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)
		}
	})
	t.Run("refuses a second use", func(t *testing.T) {
		b := w.browser(t)
		state, _ := b.beginForm(t)
		form := url.Values{"RelayState": {state}, "email": {"ada@example.com"}}
		require.Equal(t, http.StatusFound, b.post(t, form).StatusCode)
		require.Equal(t, http.StatusUnauthorized, b.post(t, form).StatusCode)
	})
}

func TestExternalForm_ComesWithTheCookieOfTheAttemptOverTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.people.AddProvider(assertions{}))
	w.server.Access.PublicURL = "https://wrenn.example.com"
	_, begun := w.browser(t).beginForm(t)
	cookie := begun.header.Get("Set-Cookie")
	require.Contains(t, cookie, "__Host-wrenn_sign_in=")
	require.Contains(t, cookie, "; Secure; SameSite=None")
}
