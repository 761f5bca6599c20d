package hostagent

import (
	"net"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/network/sockstest"
	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

// An internet of one server, in a namespace of the test's own, with addresses reserved for
// documentation.
const (
	internetNamespace = "agent-test-internet"
	internetDevice    = "agenttest0"
	internetGateway   = "203.0.113.1/30"
	internetServer    = "203.0.113.2/30"
	internetURL       = "http://203.0.113.2:8080/"
	internetProxy     = "203.0.113.2:1080"
)

// startInternet starts a server that says that it was reached, and returns a proxy beside it.
func startInternet(t *testing.T) *sockstest.Server {
	t.Helper()
	return serveInternet(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("reached")) })
}

// serveInternet starts the server, and returns a proxy beside it.
func serveInternet(t *testing.T, handler http.HandlerFunc) *sockstest.Server {
	t.Helper()
	var listener, proxied net.Listener
	err := thread.Run(func() (err error) {
		listener, proxied, err = makeInternet()
		return err
	})
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(internetDevice); err == nil {
			require.NoError(t, netlink.LinkDel(link))
		}
		require.NoError(t, netns.DeleteNamed(internetNamespace))
	})
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	proxy := &sockstest.Server{Username: "user", Password: "pass", Dial: func(target string) (net.Conn, error) { return net.Dial("tcp", target) }}
	proxy.Serve(t, proxied)
	return proxy
}

// makeInternet moves its thread into the namespace that it makes.
func makeInternet() (servers, proxied net.Listener, err error) {
	host, err := netns.Get()
	if err != nil {
		return nil, nil, err
	}
	defer host.Close()
	namespace, err := netns.NewNamed(internetNamespace)
	if err != nil {
		return nil, nil, err
	}
	defer namespace.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: internetDevice, PeerNamespace: netlink.NsFd(int(host))}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, nil, err
	}
	if err := bringUp("eth0", internetServer); err != nil {
		return nil, nil, err
	}
	if err := netns.Set(host); err != nil {
		return nil, nil, err
	}
	if err := bringUp(internetDevice, internetGateway); err != nil {
		return nil, nil, err
	}
	if err := netns.Set(namespace); err != nil {
		return nil, nil, err
	}
	if servers, err = net.Listen("tcp", "203.0.113.2:8080"); err != nil {
		return nil, nil, err
	}
	proxied, err = net.Listen("tcp", internetProxy)
	return servers, proxied, err
}

func bringUp(device, address string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, parsed); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// testNetworkPolicy changes a sandbox's network policy while it runs.
func testNetworkPolicy(t *testing.T, a *agentUnderTest, id string) {
	proxy := startInternet(t)
	fetch := func() string { return a.run(t, id, "curl -s -m 5 "+internetURL+" || echo refused") }
	update := func(policy *pb.NetworkPolicy) error {
		_, err := a.UpdateNetwork(t.Context(), connect.NewRequest(&pb.UpdateNetworkRequest{SandboxId: id, Network: policy}))
		return err
	}
	require.Equal(t, "reached", fetch())
	require.NoError(t, update(&pb.NetworkPolicy{DenyInternet: true}))
	require.Equal(t, "refused", fetch())
	a.pause(t, id)
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(update(nil)), "a paused sandbox has no network")
	a.resume(t, id)
	require.Equal(t, "refused", fetch(), "a policy outlives a pause")
	require.NoError(t, update(&pb.NetworkPolicy{AllowOut: []string{"203.0.113.2"}, DenyOut: []string{"0.0.0.0/0"}}))
	require.Equal(t, "reached", fetch())
	for _, bad := range []*pb.NetworkPolicy{
		{AllowOut: []string{"10.0.0.0/8"}}, {DenyOut: []string{"example.com"}}, {AllowOut: []string{"not an address"}},
	} {
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(update(bad)), "%v", bad)
	}
	require.Equal(t, "reached", fetch(), "the earlier policy stays in effect")
	require.NoError(t, update(&pb.NetworkPolicy{EgressProxy: &pb.EgressProxy{Address: internetProxy, Username: "user", Password: "pass"}}))
	require.Equal(t, "reached", fetch())
	require.Equal(t, []string{"203.0.113.2:8080"}, proxy.Took())
	require.NoError(t, update(&pb.NetworkPolicy{EgressProxy: &pb.EgressProxy{Address: internetProxy, Username: "user", Password: "else"}}))
	require.Contains(t, fetch(), "refused", "no connection goes past the proxy")
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(update(&pb.NetworkPolicy{EgressProxy: &pb.EgressProxy{Address: "127.0.0.1:1080"}})))
	require.NoError(t, update(nil))

	const closed = "iclosed0000000000001"
	a.killAfter(t, closed)
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: closed, BuildId: a.build, Identity: &pb.Identity{LifecycleId: closed},
		Network: &pb.NetworkPolicy{DenyOut: []string{"203.0.113.0/24"}},
	}))
	require.NoError(t, err)
	require.Equal(t, "refused", a.run(t, closed, "curl -s -m 5 "+internetURL+" || echo refused"))
}
