package cpserver_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func TestTraffic_CarriesNoCredentialOfTheControlAPI(t *testing.T) {
	t.Parallel()
	const adminToken, session = "an-admin-token-of-some-length", "c2Vzc2lvbi1vZi1zb21lYm9keS13aG8taXMtaGVyZQ"
	p := setUp(t, echoGuest)
	p.config.Identity.AdminTokenFile = filepath.Join(t.TempDir(), "admin")
	require.NoError(t, os.WriteFile(p.config.Identity.AdminTokenFile, []byte(adminToken+"\n"), 0o600))
	p.start(t)
	s := p.create(t, `{"templateID":"base"}`)
	token := auth.NewAccessToken()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+p.key))
	for _, port := range []int{8080, agentPort} {
		header := at(s.SandboxID, port)
		header.Set("X-Access-Token", s.EnvdAccessToken)
		for name, value := range map[string]string{
			"X-API-Key": p.key, "X-Admin-Token": adminToken, "X-CSRF-Token": auth.CSRFToken(session), "X-Team-ID": "team",
			"Authorization": "bearer " + token, "X-Other": "see " + p.key, "X-Admin": adminToken, "Referer": "http://x/?key=" + token,
			"X-Session": session, "X-Basic": basic,
			"Cookie": "a=1; wrenn_session=" + session + "; __Host-wrenn_session=" + session + "; b=2; key=" + p.key + "; __host-WRENN_x=1",
		} {
			header.Set(name, value)
		}
		header.Add("X-Other", "innocent")
		got := p.send(t, http.MethodGet, "/?a=%20;b&key="+p.key+"&token=x"+token+"&"+adminToken+"&c=3", "", header)
		requireStatus(t, http.StatusOK, got)
		for _, secret := range []string{p.key, token, adminToken, session, auth.CSRFToken(session), basic} {
			require.NotContains(t, string(got.body), secret)
		}
		var seen echo
		got.decode(t, &seen)
		for _, name := range []string{"X-Api-Key", "X-Admin-Token", "X-Csrf-Token", "X-Team-Id", "Authorization", "X-Admin", "Referer"} {
			require.NotContains(t, seen.Header, name)
		}
		require.Equal(t, "/?a=%20;b&c=3", seen.URI)
		require.Equal(t, "a=1; b=2", seen.Header.Get("Cookie"))
		require.Equal(t, []string{"innocent"}, seen.Header.Values("X-Other"))
	}
	own := at(s.SandboxID, 8080)
	own.Set("Authorization", "Bearer the-guests-own")
	own.Set("Cookie", `session="quoted; wrenn=1; not_wrenn_=2`)
	var seen echo
	p.send(t, http.MethodGet, "/", "", own).decode(t, &seen)
	require.Equal(t, "Bearer the-guests-own", seen.Header.Get("Authorization"))
	require.Equal(t, `session="quoted; wrenn=1; not_wrenn_=2`, seen.Header.Get("Cookie"))
}

func TestTraffic_LetsAGuestSetCookiesForItselfOnly(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		host, _, _ := strings.Cut(r.Host, ":")
		for _, cookie := range []string{
			"wrenn_session=x", "__Host-wrenn_session=x; Path=/; Secure", "__host-WRENN_oidc=x", " =wrenn_session=x", "__Host-Http-wrenn_a=1",
			"a=1; Path=/; HttpOnly", "b=2; Domain=localhost; Path=/", "c=3; domain = .LOCALHOST", "d=4; Domain=" + host + "; Secure", "e=5; Domain=example.com;Domain=",
		} {
			header.Add("Set-Cookie", cookie)
		}
		header.Set("Clear-Site-Data", `"cookies"`)
		header.Set("Wrenn-Sandbox-Id", "forged")
		header.Set("Connection", "X-Content-Type-Options")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	}))
	s := p.create(t, `{"templateID":"base"}`)
	got := p.send(t, http.MethodGet, "/", "", http.Header{"Host": {"8080-" + s.SandboxID + ".localhost:3000"}})
	requireStatus(t, http.StatusOK, got)
	require.Equal(t, []string{
		"a=1; Path=/; HttpOnly", "b=2; Path=/", "c=3", "d=4; Domain=8080-" + s.SandboxID + ".localhost; Secure", "e=5",
	}, got.header.Values("Set-Cookie"))
	require.Empty(t, got.header.Get("Clear-Site-Data"))
	require.Empty(t, got.header.Get("Wrenn-Sandbox-Id"))
}

func TestTraffic_WithACredentialInItsPathIsRefused(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base","network":{"allowPublicTraffic":false}}`)
	header := with(at(s.SandboxID, 8080), "E2b-Traffic-Access-Token", *s.TrafficAccessToken)
	for _, secret := range []string{p.key, auth.NewAccessToken(), s.EnvdAccessToken, *s.TrafficAccessToken} {
		for _, path := range []string{"/x/" + secret + "/y", "/%2f" + fmt.Sprintf("%%%x", secret[0]) + secret[1:]} {
			got := p.send(t, http.MethodGet, path, "", header)
			requireStatus(t, http.StatusBadRequest, got)
			require.NotContains(t, string(got.body), secret)
		}
	}
}

// The address is the control API's, too: what a cache kept of a guest's answer would
// be shown in the place of the API's own pages.
func TestTraffic_KeepsAnswersAtASharedAddressOutOfCaches(t *testing.T) {
	t.Parallel()
	said := http.Header{
		"Cache-Control": {"public, max-age=31536000"}, "Expires": {"Fri, 01 Jan 2100 00:00:00 GMT"}, "Cdn-Cache-Control": {"max-age=60"},
		"Surrogate-Control": {"max-age=60"}, "Alt-Svc": {`h2=":1"`}, "Nel": {`{"report_to":"x"}`}, "Report-To": {`{"group":"x"}`},
		"Strict-Transport-Security": {"max-age=60; includeSubDomains"}, "Vary": {"Accept"}, "Set-Cookie": {"a=1; Domain=127.0.0.1; Path=/"},
	}
	p := startWithGuest(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range said {
			w.Header()[name] = values
		}
	}))
	s := p.create(t, `{"templateID":"base"}`)
	got := p.send(t, http.MethodGet, "/docs", "", at(s.SandboxID, 8080)).header
	require.Equal(t, []string{"no-store"}, got["Cache-Control"])
	require.Equal(t, []string{"a=1; Path=/"}, got["Set-Cookie"], "for the address alone")
	require.Equal(t, []string{"Accept", "E2b-Sandbox-Id, E2b-Sandbox-Port"}, got["Vary"])
	own := p.send(t, http.MethodGet, "/docs", "", http.Header{"Host": {"8080-" + s.SandboxID + ".localhost:3000"}}).header
	for name, values := range said {
		if name != "Cache-Control" && name != "Vary" && name != "Set-Cookie" {
			require.NotContains(t, got, name)
			require.Equal(t, values, own[name])
		}
	}
}

func TestTraffic_NamesTheGuestWhateverAClientsConnectionHeaderNames(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base"}`)
	header := with(at(s.SandboxID, 8080), "Connection", "Wrenn-Sandbox-Id, Wrenn-Sandbox-Port, X-Hop")
	header.Set("X-Hop", "by hop")
	var seen echo
	p.send(t, http.MethodGet, "/", "", header).decode(t, &seen)
	require.Equal(t, []string{s.SandboxID}, seen.Sandbox)
	require.Equal(t, "8080", seen.Port)
	require.Empty(t, seen.Header.Get("X-Hop"))
}

func TestTraffic_BelievesOnlyTrustedProxiesAboutTheClient(t *testing.T) {
	t.Parallel()
	said := http.Header{
		"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Proto": {"https"},
		"Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/app"},
		"X_forwarded_for": {"203.0.113.9"}, "X-Real_ip": {"203.0.113.9"},
	}
	for trusted, want := range map[bool]http.Header{
		true: {
			"X-Forwarded-For": {"203.0.113.9", "127.0.0.1"}, "X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Proto": {"https"},
			"Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/app"},
			"X_forwarded_for": {"203.0.113.9"}, "X-Real_ip": {"203.0.113.9"},
		},
		false: {"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}},
	} {
		p := setUp(t, echoGuest)
		if trusted {
			p.config.Identity.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		p.start(t)
		s := p.create(t, `{"templateID":"base"}`)
		header := at(s.SandboxID, 8080)
		for name, values := range said {
			header[name] = values
		}
		var seen echo
		p.send(t, http.MethodGet, "/", "", header).decode(t, &seen)
		for name := range said {
			if name == "X-Forwarded-Host" && !trusted {
				require.Equal(t, strings.TrimPrefix(p.url, "http://"), seen.Header.Get(name))
				continue
			}
			require.Equal(t, want[name], seen.Header[name], "%s, trusted: %t", name, trusted)
		}
	}
}
