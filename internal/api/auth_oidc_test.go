package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/provider"
)

// withProvider lets people sign in with an OpenID Connect provider.
func withProvider(t *testing.T, w *world, signUp identity.SignUp) *fakeProvider {
	t.Helper()
	p := startProvider(t)
	require.NoError(t, w.people.AddProvider(provider.NewOIDC(provider.OIDCConfig{
		Name: "corp", Issuer: p.http.URL, ClientID: clientID, ClientSecret: clientSecret, SignUp: signUp,
	})))
	return p
}

// goThrough follows the redirects from Wrenn to a provider and back, and returns
// Wrenn's last answer.
func (b *browser) goThrough(t *testing.T, name string) answer {
	t.Helper()
	return b.follow(t, b.back(t, name))
}

// back is where the provider sends the browser.
func (b *browser) back(t *testing.T, name string) string {
	t.Helper()
	start := b.do(t, http.MethodGet, "/auth/oidc/"+name+"/start", nil)
	require.Equal(t, http.StatusFound, start.status, "%s", start.body)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, start.header.Get("Location"), nil)
	require.NoError(t, err)
	response, err := b.client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusFound, response.StatusCode)
	return response.Header.Get("Location")
}

func (b *browser) follow(t *testing.T, address string) answer {
	t.Helper()
	require.True(t, strings.HasPrefix(address, b.http.URL), address)
	return b.do(t, http.MethodGet, strings.TrimPrefix(address, b.http.URL), nil)
}

func TestOIDC_SignsInWhoWasInvited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := withProvider(t, w, identity.InvitedOnly)
	admin := w.firstAdmin(t)
	p.knows("1001", "Grace@Example.com", true)
	refused := w.browser(t).goThrough(t, "corp")
	require.Equal(t, http.StatusForbidden, refused.status, "not invited: %s", refused.body)

	admin.must(t, http.StatusCreated, http.MethodPost, "/teams/"+w.team.ID.String()+"/invitations", fields{"email": "grace@example.com", "role": "member"}, nil)
	grace := w.browser(t)
	signedIn := grace.goThrough(t, "corp")
	require.Equal(t, http.StatusFound, signedIn.status, "%s", signedIn.body)
	require.Equal(t, w.http.URL+"/", signedIn.header.Get("Location"))
	grace.learn(t)
	var me struct {
		Name        string
		HasPassword bool
		Teams       []struct{ Role string }
	}
	grace.must(t, http.StatusOK, http.MethodGet, "/me", nil, &me)
	require.Equal(t, "Grace", me.Name)
	require.False(t, me.HasPassword)
	require.Equal(t, "member", me.Teams[0].Role)

	p.knows("1001", "grace@elsewhere.example", true)
	again := w.browser(t)
	require.Equal(t, http.StatusFound, again.goThrough(t, "corp").status)
	again.learn(t)
	require.Equal(t, grace.userID, again.userID, "the subject counts, whatever the address is now")
	require.Equal(t, http.StatusUnauthorized, w.browser(t).login(t, "grace@example.com", "").status)
}

func TestOIDC_TiesAnAccountOnlyToAnAddressThatIsVouchedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := withProvider(t, w, identity.Everyone)
	admin := w.firstAdmin(t)
	for _, verified := range []any{false, nil, "false", "yes"} {
		p.knows("2002", "ada@example.com", verified)
		require.Equal(t, http.StatusForbidden, w.browser(t).goThrough(t, "corp").status, "%v", verified)
	}
	p.knows("2002", "ada@example.com", "true")
	b := w.browser(t)
	require.Equal(t, http.StatusFound, b.goThrough(t, "corp").status)
	b.learn(t)
	require.Equal(t, admin.userID, b.userID)

	p.knows("3003", "new@example.com", true)
	require.Equal(t, http.StatusFound, w.browser(t).goThrough(t, "corp").status, "whom the provider knows may sign up")
}

func TestOIDC_AsksForTheSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := withProvider(t, w, identity.InvitedOnly)
	_, _, codes := enrolled(t, w.firstAdmin(t))
	p.knows("1", "ada@example.com", true)
	b := w.browser(t)
	to, err := url.Parse(b.goThrough(t, "corp").header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "/second-factor", to.Path)
	b.must(t, http.StatusUnauthorized, http.MethodGet, "/me", nil, nil)
	challenge, found := strings.CutPrefix(to.Fragment, "challenge=")
	require.True(t, found)
	b.must(t, http.StatusOK, http.MethodPost, "/auth/totp/login", fields{"challenge": challenge, "code": codes[0]}, nil)
}

func TestOIDC_RefusesAnAnswerThatIsNotThisBrowsersOrNotForUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := withProvider(t, w, identity.Everyone)
	p.knows("1", "eve@example.com", true)
	b, eve := w.browser(t), w.browser(t)
	require.Equal(t, http.StatusUnauthorized, b.follow(t, eve.back(t, "corp")).status, "a browser that began nothing")
	_ = b.back(t, "corp")
	require.Equal(t, http.StatusUnauthorized, b.follow(t, eve.back(t, "corp")).status, "a browser that began something else")

	address := b.back(t, "corp")
	require.Equal(t, http.StatusFound, b.follow(t, address).status)
	require.Equal(t, http.StatusUnauthorized, b.follow(t, address).status, "a second time")

	refused := b.follow(t, strings.Replace(b.back(t, "corp"), "code=", "error=access_denied&x=", 1))
	require.Equal(t, http.StatusUnauthorized, refused.status)

	p.mutex.Lock()
	p.claims["nonce"] = "of another attempt"
	p.mutex.Unlock()
	require.Equal(t, http.StatusUnauthorized, b.goThrough(t, "corp").status)
	p.knows("1", "eve@example.com", true)
	require.Equal(t, http.StatusFound, b.goThrough(t, "corp").status)

	p.mutex.Lock()
	p.audience = "another client"
	p.mutex.Unlock()
	require.Equal(t, http.StatusUnauthorized, b.goThrough(t, "corp").status)
	b.must(t, http.StatusNotFound, http.MethodGet, "/auth/oidc/nobody/start", nil, nil)
}

func TestOIDC_MayBeAwayAndComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.people.AddProvider(provider.NewOIDC(provider.OIDCConfig{Name: "gone", Issuer: "http://127.0.0.1:1", ClientID: clientID})))
	got := w.browser(t).do(t, http.MethodGet, "/auth/oidc/gone/start", nil)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotContains(t, string(got.body), "127.0.0.1")
}

func TestGitHub_SignsInByItsVerifiedPrimaryAddress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verified bool
		status   int
	}{"verified": {true, http.StatusFound}, "not verified": {false, http.StatusForbidden}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			admin := w.firstAdmin(t)
			github := startGitHub(t, 42, "ada@example.com", test.verified)
			require.NoError(t, w.people.AddProvider(provider.NewGitHub(provider.GitHubConfig{
				ClientID: clientID, ClientSecret: clientSecret, URL: github.URL, APIURL: github.URL, SignUp: identity.Everyone,
			})))
			b := w.browser(t)
			got := b.goThrough(t, "github")
			require.Equal(t, test.status, got.status, "%s", got.body)
			if test.status == http.StatusFound {
				b.learn(t)
				require.Equal(t, admin.userID, b.userID)
			}
		})
	}
}
