package egress

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network/sockstest"
	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

// proxy puts a SOCKS5 proxy at a public address. It finds the servers behind names and
// addresses as the world does.
func (w *world) proxy(address string) *sockstest.Server {
	w.t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(w.t, err)
	server := &sockstest.Server{Dial: func(target string) (net.Conn, error) {
		w.mutex.Lock()
		host, port, _ := net.SplitHostPort(target)
		if found := w.addresses[host+"."]; len(found) > 0 {
			target = net.JoinHostPort(found[0], port)
		}
		actual, found := w.servers[target]
		w.mutex.Unlock()
		if !found {
			actual = target
		}
		return net.Dial("tcp4", actual)
	}}
	server.Serve(w.t, listener)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.servers[address] = listener.Addr().String()
	return server
}

// filling is a policy whose rule for api.example takes an identity token; filled is
// called when a request has it.
func filling(w *world, upstream Upstream, filled func()) *Policy {
	spec := onlyDomains("api.example")
	spec.Upstream = upstream
	spec.Rules = map[string][]Rule{"api.example": {{SetHeaders: map[string]string{"X-Rule": placeholder.ForToken("aws")}}}}
	return parse(w.t, spec).WithAuthority(w.authority).WithTokens(func(string) (string, error) {
		filled()
		return "token", nil
	})
}

func requireSuperseded(t *testing.T, response *http.Response, err error) {
	t.Helper()
	require.NoError(t, err)
	said, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "it had %s", response.Header.Get("X-Got-Rule"))
	require.Contains(t, string(said), ErrPolicyChanged.Error())
}

func TestGateway_SendsNothingByAnotherPolicyThanFilledItIn(t *testing.T) {
	w := newWorld(t, Spec{})
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:80", "api", false)
	proxy := w.proxy("203.0.113.50:1080")
	client := w.guest("203.0.113.1:80", nil)
	exchanged := filling(w, Upstream{Address: "203.0.113.50:1080"}, func() {})
	w.gateway.Update(filling(w, Upstream{}, func() { w.gateway.Update(exchanged) }))
	response, err := client.Get("http://api.example/")
	requireSuperseded(t, response, err)
	require.Empty(t, proxy.Took())

	_, header := get(t, client, "http://api.example/")
	require.Equal(t, "token", header.Get("X-Got-Rule"), "the next request goes by the new policy")
	require.Equal(t, []string{"api.example:80"}, proxy.Took())
}

func TestGateway_FailsRequestsThatWaitWhileThePolicyIsExchanged(t *testing.T) {
	w := newWorld(t, Spec{})
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:80", "api", false)
	proxy := w.proxy("203.0.113.50:1080")
	client := w.guest("203.0.113.1:80", nil)
	const waiting = 3
	filled := make(chan struct{}, maxPerServer+waiting)
	w.gateway.Update(filling(w, Upstream{}, func() { filled <- struct{}{} }))
	connect := make(chan struct{})
	w.onDial = func() { <-connect }
	var asking sync.WaitGroup
	type answer struct {
		response *http.Response
		err      error
	}
	answers := make(chan answer, maxPerServer+waiting)
	for range maxPerServer + waiting {
		asking.Go(func() {
			response, err := client.Get("http://api.example/")
			answers <- answer{response, err}
		})
	}
	for range maxPerServer + waiting {
		<-filled
	}
	require.Eventually(t, func() bool { _, dialled := w.log(); return len(dialled) == maxPerServer }, 10*time.Second, time.Millisecond)
	w.gateway.Update(filling(w, Upstream{Address: "203.0.113.50:1080"}, func() {}))
	close(connect)
	asking.Wait()
	for range maxPerServer + waiting {
		got := <-answers
		requireSuperseded(t, got.response, got.err)
	}
	require.Empty(t, proxy.Took())
}
