package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

const everywhere = "0.0.0.0/0"

func TestApply_ByAddress(t *testing.T) {
	_, _, guest := newPlace(t)
	guest.apply(egress.Spec{DenyOut: []string{"203.0.113.0/24"}})
	guest.reaches(evilServer)
	guest.cannotReach(webServer, otherServer)

	guest.apply(egress.Spec{DenyOut: []string{everywhere}, AllowOut: []string{webServer}})
	guest.reaches(webServer)
	guest.cannotReach(otherServer, evilServer, nameServer)

	guest.apply(egress.Spec{DenyOut: []string{everywhere}, AllowOut: []string{everywhere}})
	guest.reaches(webServer)
	guest.cannotReach("169.254.169.254", nameServer)
}

func TestApply_WithoutInternetNothingGetsOut(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	guest.apply(egress.Spec{DenyInternet: true})
	guest.cannotReach(webServer, nameServer)
	_, err := guest.resolve("good.example")
	require.Error(t, err)
	require.False(t, w.wasAskedFor("good"))
	_, err = guest.get("http://good.example/", webServer)
	require.Error(t, err)
}

func TestApply_ByDomain(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("a.wild.example", otherServer)
	w.name("evil.example", evilServer)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example", "*.wild.example"}})
	for url, server := range map[string]string{
		"http://good.example/": webServer, "https://good.example/": webServer,
		"http://a.wild.example/": otherServer, "https://a.wild.example/": otherServer,
	} {
		answer, err := guest.get(url, "")
		require.NoError(t, err, url)
		require.Contains(t, answer, server, url)
	}
	for url, address := range map[string]string{
		"http://evil.example/":       "",          // does not resolve
		"https://evil.example/":      evilServer,  // known from elsewhere
		"http://wild.example/":       otherServer, // a wildcard is not for the domain itself
		"http://" + webServer + "/":  "",          // no name
		"https://" + webServer + "/": "",          // no server name
	} {
		_, err := guest.get(url, address)
		require.Error(t, err, url)
	}
	require.False(t, w.wasAskedFor("evil"), "a question is a message")
	guest.cannotReach(webServer, evilServer) // no name in what is said
}

func TestApply_ByDomainTheNameDecidesWhereItGoes(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("rebound.example", "127.0.0.1", "192.0.2.1", nameServer, "169.254.169.254")
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example", "rebound.example"}})
	for _, url := range []string{"http://good.example/", "https://good.example/"} {
		answer, err := guest.get(url, evilServer)
		require.NoError(t, err)
		require.Contains(t, answer, webServer)
	}
	w.name("rebound.example", nameServer, "169.254.169.254")
	for _, address := range []string{"", nameServer, "169.254.169.254", evilServer} {
		_, err := guest.get("http://rebound.example/", address)
		require.Error(t, err, address)
	}
}

func TestApply_TheGatewayItselfReachesNothingForbidden(t *testing.T) {
	_, _, guest := newPlace(t)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}})
	ctx, cancel := context.WithTimeout(t.Context(), impatience)
	defer cancel()
	for _, address := range []string{nameServer, "169.254.169.254"} {
		_, err := guest.slot.dial(ctx, "tcp4", net.JoinHostPort(address, "80"))
		require.Error(t, err, address)
	}
	conn, err := guest.slot.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, "80"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = guest.dial(t.Context(), "tcp4", net.JoinHostPort(GatewayIP, "10080"))
	require.ErrorIs(t, err, unix.ECONNREFUSED, "the guest cannot speak to the proxy unredirected")
}

func TestApply_CutsWhatIsDenied(t *testing.T) {
	_, _, guest := newPlace(t)
	kept, cut := guest.open(webServer), guest.open(otherServer)
	guest.apply(egress.Spec{DenyOut: []string{otherServer}})
	require.NoError(t, say(kept, patience))
	require.Error(t, say(cut, impatience))
	guest.apply(egress.Spec{})
	require.Error(t, say(cut, impatience), "what was cut stays cut")
	require.NoError(t, say(kept, patience))
	guest.reaches(otherServer)
}

func (g *guest) open(host string) net.Conn {
	g.t.Helper()
	conn, err := g.dial(g.t.Context(), "tcp4", net.JoinHostPort(host, echoPort))
	require.NoError(g.t, err)
	g.t.Cleanup(func() { conn.Close() })
	require.NoError(g.t, say(conn, patience))
	return conn
}

func TestApply_CutsTheOtherSidesSpeechToo(t *testing.T) {
	_, _, guest := newPlace(t)
	conn := guest.open(webServer)
	flood := make([]byte, 8<<20) // more than all buffers on the way hold
	go func() {
		_, _ = conn.Write(flood)
	}()
	_, err := io.CopyN(io.Discard, conn, 1<<20)
	require.NoError(t, err)
	guest.apply(egress.Spec{DenyInternet: true})
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	count, err := io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Less(t, count, int64(len(flood)-1<<20))
}

// TestApply_NeverOpensInBetween changes between policies that all deny the same
// server, while the guest tries without end to reach it.
func TestApply_NeverOpensInBetween(t *testing.T) {
	_, _, guest := newPlace(t)
	policies := []egress.Spec{
		{DenyOut: []string{evilServer}},
		{DenyInternet: true},
		{DenyInternet: true, AllowOut: []string{"good.example"}},
		{DenyOut: []string{"198.51.0.0/16"}, AllowOut: []string{webServer}},
	}
	guest.apply(policies[0])
	ctx, stop := context.WithCancel(t.Context())
	reached, tries := make(chan int), 0
	go func() {
		count := 0
		for ctx.Err() == nil {
			tries++
			if err := guest.echo(evilServer, impatience); err == nil {
				count++
			}
		}
		reached <- count
	}()
	for range 8 {
		for _, policy := range policies {
			guest.apply(policy)
		}
	}
	stop()
	require.Zero(t, <-reached)
	require.Greater(t, tries, 8)
}

func TestApply_GivesRequestsTheirHeaders(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("api.example", webServer)
	spec := egress.Spec{Rules: map[string][]egress.Rule{"api.example": {{SetHeaders: map[string]string{"X-Rule": "secret"}}}}}
	policy, err := egress.Parse(spec)
	require.NoError(t, err)
	require.ErrorIs(t, guest.slot.Apply(t.Context(), policy), egress.ErrNoAuthority)
	authority, err := egress.NewAuthority()
	require.NoError(t, err)
	require.NoError(t, guest.slot.Apply(t.Context(), policy.WithAuthority(authority)))
	guest.roots = x509.NewCertPool()
	require.True(t, guest.roots.AppendCertsFromPEM(authority.Certificate()))
	for _, url := range []string{"http://api.example/", "https://api.example/"} {
		answer, err := guest.get(url, "")
		require.NoError(t, err, url)
		require.Contains(t, answer, "rule=secret", url)
	}
	answer, err := guest.get("http://other.example/", evilServer)
	require.NoError(t, err)
	require.Equal(t, evilServer+" host=other.example rule=", answer)
	guest.reaches(otherServer)
	guest.cannotReach(insideServers...)
}

func TestApply_SpeaksTLSWithoutAServerNameOnlyWhereTheAddressIsAllowed(t *testing.T) {
	_, _, guest := newPlace(t)
	handshake := func() error {
		conn, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, "443"))
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx) //nolint:gosec // no name to verify
	}
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}})
	require.Error(t, handshake())
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example", webServer}})
	require.NoError(t, handshake())
}

func TestApply_AfterReleaseSaysSo(t *testing.T) {
	_, pool, guest := newPlace(t)
	slot := acquire(t, pool)
	policy, err := egress.Parse(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}})
	require.NoError(t, err)
	require.NoError(t, slot.Apply(t.Context(), policy))
	pool.Release(slot)
	require.Eventually(t, func() bool {
		_, err := netlink.LinkByName(slot.hostDevice())
		return errors.As(err, &netlink.LinkNotFoundError{})
	}, patience, time.Millisecond)
	require.ErrorIs(t, slot.Apply(t.Context(), policy), ErrReleased)
	guest.reaches(webServer)
}
