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
	conn, err := guest.dial(t.Context(), "udp4", net.JoinHostPort(webServer, echoPort))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "flood")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	drop := make([]byte, 16)
	_, err = conn.Read(drop)
	require.NoError(t, err)
	guest.apply(egress.Spec{DenyInternet: true})
	require.Eventually(t, func() bool {
		err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		require.NoError(t, err)
		_, err = conn.Read(drop)
		return errors.Is(err, os.ErrDeadlineExceeded)
	}, patience, time.Microsecond, "what was on its way arrives, and then nothing more")
	guest.apply(egress.Spec{DenyOut: []string{webServer}})
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = conn.Read(drop)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestApply_ForgetsWhatIsDenied(t *testing.T) {
	_, _, guest := newPlace(t)
	guest.open(webServer)
	guest.open(otherServer)
	guest.apply(egress.Spec{DenyOut: []string{webServer}})
	handle, err := netlink.NewHandleAt(openNamespace(t, guest.slot.namespaceName()), unix.NETLINK_NETFILTER)
	require.NoError(t, err)
	defer handle.Close()
	known, err := handle.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	require.NoError(t, err)
	require.Len(t, known, 1)
	require.Equal(t, otherServer, known[0].Forward.DstIP.String())
}

func TestApply_ChangesDomainsUnderOpenConnections(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("api.example", otherServer)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}})
	conn, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, "443"))
	require.NoError(t, err)
	secured := tls.Client(conn, &tls.Config{ServerName: "good.example", RootCAs: guest.roots, MinVersion: tls.VersionTLS12})
	defer secured.Close()
	require.NoError(t, secured.HandshakeContext(t.Context()))
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"api.example"}})
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.Copy(io.Discard, secured)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "cut at once")
	_, err = guest.get("https://good.example/", webServer)
	require.Error(t, err)
	_, err = guest.get("https://api.example/", "")
	require.NoError(t, err)
	guest.apply(egress.Spec{})
	_, err = guest.get("https://good.example/", "")
	require.NoError(t, err)
	guest.apply(egress.Spec{DenyInternet: true})
	require.Nil(t, guest.slot.gateway, "it is there only while it is needed")
}

func TestAdopt_LeavesTheGuestToItsPolicy(t *testing.T) {
	w, pool, guest := newPlace(t)
	w.name("good.example", webServer)
	spec := egress.Spec{DenyInternet: true, AllowOut: []string{"good.example", otherServer}}
	guest.apply(spec)
	kept := guest.open(otherServer)
	pool.Leave()
	_, err := guest.get("http://good.example/", webServer)
	require.Error(t, err, "without a gateway there is no way by name")
	guest.reaches(otherServer)
	guest.cannotReach(evilServer)
	guest.slot, err = pool.Adopt(guest.slot.Name())
	require.NoError(t, err)
	guest.apply(spec)
	_, err = guest.get("http://good.example/", "")
	require.NoError(t, err)
	require.NoError(t, say(kept, patience))
}

// TestApply_LeavesTheOldPolicyWhereTheNewOneFails has a queue in the way of a limit,
// in a slot of this process's and in one that was taken over.
func TestApply_LeavesTheOldPolicyWhereTheNewOneFails(t *testing.T) {
	w, pool, guest := newPlace(t)
	w.name("good.example", webServer)
	guest.apply(egress.Spec{DenyOut: []string{otherServer}})
	policy, err := egress.Parse(egress.Spec{
		DenyInternet: true, AllowOut: []string{"good.example"}, Limits: egress.Limits{UploadBytesPerSecond: bytesPerSecond},
	})
	require.NoError(t, err)
	inTheWay := &netlink.GenericQdisc{QdiscType: "pfifo"}
	onUplink := func(do func(netlink.Qdisc) error) {
		require.NoError(t, inNamespace(guest.slot.namespaceName(), func() error {
			link, err := netlink.LinkByName(uplinkDevice)
			if err != nil {
				return err
			}
			inTheWay.QdiscAttrs = netlink.QdiscAttrs{
				LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
			}
			return do(inTheWay)
		}))
	}
	onUplink(netlink.QdiscAdd)
	for _, when := range []string{"of this process", "taken over"} {
		require.Error(t, guest.slot.Apply(t.Context(), policy), when)
		require.Equal(t, when == "taken over", guest.slot.gateway == nil, when)
		guest.reaches(webServer)
		guest.cannotReach(otherServer)
		pool.Leave()
		guest.slot, err = pool.Adopt(guest.slot.Name())
		require.NoError(t, err)
	}
	onUplink(netlink.QdiscDel)
	require.NoError(t, guest.slot.Apply(t.Context(), policy))
	_, err = guest.get("http://good.example/", "")
	require.NoError(t, err)
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
