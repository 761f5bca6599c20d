package network

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

func TestApply_AnswersQuestionsOverBothTransports(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("evil.example", evilServer)
	for name, spec := range map[string]egress.Spec{
		"under the default policy": {}, "by the gateway": {DenyInternet: true, AllowOut: []string{"good.example"}},
	} {
		guest.apply(spec)
		for _, network := range []string{"udp", "tcp"} {
			address, err := guest.resolveBy(network, "good.example")
			require.NoError(t, err, "%s over %s", name, network)
			require.Equal(t, webServer, address)
			_, err = guest.resolveBy(network, "evil.example")
			require.Equal(t, spec.DenyInternet, err != nil, "%s over %s: %v", name, network, err)
		}
	}
	guest.apply(egress.Spec{DenyInternet: true})
	for _, network := range []string{"udp", "tcp"} {
		_, err := guest.resolveBy(network, "good.example")
		require.Error(t, err, network)
	}
}

func TestSlot_AnswersNoAddressThatTheGuestMayNotReach(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("rebind.example", append([]string{webServer}, insideServers...)...)
	for name, spec := range map[string]egress.Spec{
		"under the default policy": {}, "by the gateway": {DenyInternet: true, AllowOut: []string{"*"}},
	} {
		guest.apply(spec)
		for _, network := range []string{"udp", "tcp"} {
			for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeMX} {
				reply, err := guest.ask(network, "rebind.example", kind)
				require.NoError(t, err, "%s over %s", name, network)
				require.Equal(t, dns.RcodeSuccess, reply.Rcode)
				var told []string
				for _, record := range slices.Concat(reply.Answer, reply.Ns, reply.Extra) {
					switch record := record.(type) {
					case *dns.A:
						told = append(told, record.A.String())
					default:
						require.IsType(t, &dns.MX{}, record)
					}
				}
				if kind == dns.TypeA {
					require.Equal(t, []string{webServer}, told, "%s over %s", name, network)
				} else {
					require.Empty(t, told, "%s over %s: %s", name, network, dns.TypeToString[kind])
				}
			}
		}
	}
}

func TestApply_GoesWhereTheGuestWasToldAName(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}})
	address, err := guest.resolve("good.example")
	require.NoError(t, err)
	w.name("good.example", evilServer) // the owner of the name changes its address
	for _, dialled := range []string{address, evilServer} {
		for _, scheme := range []string{"http", "https"} {
			answer, err := guest.get(scheme+"://good.example/", dialled)
			require.NoError(t, err)
			require.Contains(t, answer, webServer, "%s to %s", scheme, dialled)
		}
	}
}

func TestApply_AllowsEveryNameButNothingWithoutOne(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("evil.example", evilServer)
	w.name("inside.example", insideServers...)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"*"}})
	for url, server := range map[string]string{
		"http://good.example/": webServer, "https://good.example/": webServer, "http://evil.example/": evilServer,
	} {
		answer, err := guest.get(url, "")
		require.NoError(t, err, url)
		require.Contains(t, answer, server, url)
	}
	guest.cannotReach(webServer, evilServer) // no name in what is said
	for _, address := range append([]string{webServer}, insideServers...) {
		_, err := guest.get("http://inside.example/", address)
		require.Error(t, err, address)
	}
}

func TestApply_CarriesHTTP2(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("api.example", otherServer)
	policy, err := egress.Parse(egress.Spec{
		DenyInternet: true, AllowOut: []string{"good.example", "api.example"},
		Rules: map[string][]egress.Rule{"api.example": {{SetHeaders: map[string]string{"X-Rule": "secret"}}}},
	})
	require.NoError(t, err)
	authority, err := egress.NewAuthority()
	require.NoError(t, err)
	require.NoError(t, guest.slot.Apply(t.Context(), policy.WithAuthority(authority)))
	both := [2]string{"HTTP/2.0", "HTTP/2.0"}
	answer, protocols, err := guest.fetch("https://good.example/", "", true)
	require.NoError(t, err)
	require.Contains(t, answer, webServer)
	require.Equal(t, both, protocols, "passed through")

	guest.roots = x509.NewCertPool()
	require.True(t, guest.roots.AppendCertsFromPEM(authority.Certificate()))
	answer, protocols, err = guest.fetch("https://api.example/", "", true)
	require.NoError(t, err)
	require.Contains(t, answer, otherServer+" host=api.example rule=secret")
	require.Equal(t, both, protocols, "opened on the way")
}
