package hostagent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// office answers joins and renewals as a control plane does.
type office struct {
	*authority.Authority
	url    string
	hostID uuid.UUID
	last   map[string][]byte // what was sent as bytes in the last request
}

func newOffice(t *testing.T) *office {
	t.Helper()
	ca, err := authority.New()
	require.NoError(t, err)
	o := &office{Authority: ca, hostID: uuid.New()}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Certificate, Request, Signature []byte }
	_ = json.NewDecoder(r.Body).Decode(&body)
	o.last = map[string][]byte{"certificate": body.Certificate, "request": body.Request, "signature": body.Signature}
	certificate, _, err := o.IssueHost(o.hostID, body.Request)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"code":400,"message":"no request"}`)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"hostID": o.hostID, "certificate": certificate, "authority": o.Certificate(), "server": "http://forged"})
}

func (o *office) token() string {
	return "wrh_" + hex.EncodeToString(make([]byte, 32)) + "_" + hex.EncodeToString(authority.Fingerprint(o.Certificate()))
}

func (o *office) join(t *testing.T) (string, *membership) {
	t.Helper()
	dir := t.TempDir()
	hostID, err := Join(t.Context(), JoinOptions{DataDir: dir, Server: o.url, Token: o.token(), Name: "one", Address: "127.0.0.1:7070", Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	require.Equal(t, o.hostID, hostID)
	member, err := readMembership(dir)
	require.NoError(t, err)
	return dir, member
}

func TestJoin_KeepsTheKeyToItselfAndHappensOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	dir, member := o.join(t)
	require.Equal(t, o.url, member.Server, "the answer's server is ignored")
	info, err := os.Stat(membershipPath(dir))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	for _, sent := range o.last {
		require.False(t, bytes.Contains(sent, member.Key))
	}
	_, err = Join(t.Context(), JoinOptions{DataDir: dir, Server: o.url, Token: o.token(), Name: "one", Address: "127.0.0.1:7070"})
	require.ErrorContains(t, err, "already")
}

func TestJoin_RefusesAControlPlaneThatDidNotMakeTheToken(t *testing.T) {
	t.Parallel()
	asked, forger := newOffice(t), newOffice(t)
	dir := t.TempDir()
	_, err := Join(t.Context(), JoinOptions{DataDir: dir, Server: forger.url, Token: asked.token(), Name: "one", Address: "127.0.0.1:7070"})
	require.ErrorContains(t, err, "its authority is another")
	_, err = os.Stat(membershipPath(dir))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestJoin_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for want, change := range map[string]func(*JoinOptions){
		"must be https":        func(j *JoinOptions) { j.Server = "http://wrenn.example.com" },
		"the server must be":   func(j *JoinOptions) { j.Server = "wrenn.example.com" },
		"the address must be":  func(j *JoinOptions) { j.Address = "10.0.0.7" },
		"the token is not one": func(j *JoinOptions) { j.Token = "e2b_0123" },
		"does not answer":      func(j *JoinOptions) { j.Server = "http://127.0.0.1:1" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			options := JoinOptions{DataDir: t.TempDir(), Server: o.url, Token: o.token(), Name: "one", Address: "10.0.0.7:7070"}
			change(&options)
			_, err := Join(t.Context(), options)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestRenew_HappensWhenTwoThirdsAreOver(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	dir, member := o.join(t)
	c, err := newCertifier(dir, member, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	before, err := c.certificate()
	require.NoError(t, err)
	require.NoError(t, c.renewIfDue(t.Context(), time.Now().Add(authority.HostLifetime/2)))
	same, err := c.certificate()
	require.NoError(t, err)
	require.Same(t, before, same, "it is not time yet")

	require.NoError(t, c.renewIfDue(t.Context(), time.Now().Add(authority.HostLifetime*3/4)))
	require.NoError(t, authority.Verify(member.Certificate, o.last["request"], o.last["signature"]))
	after, err := c.certificate()
	require.NoError(t, err)
	require.NotEqual(t, before.Certificate, after.Certificate)
	stored, err := readMembership(dir)
	require.NoError(t, err)
	require.Equal(t, after.Certificate[0], stored.Certificate, "it survives a restart")
	require.Equal(t, o.url, stored.Server)
	require.NotEqual(t, member.Key, stored.Key)
}

func TestRemote_SeparatesRPCFromTrafficByTheHandshake(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	dir, member := o.join(t)
	named := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name+" "+r.Proto) })
	}
	opened, err := openRemote(t.Context(), Config{DataDir: dir, Log: slog.New(slog.DiscardHandler)}, named("rpc"), named("traffic"))
	require.NoError(t, err)
	parts, running := boot.New(t.Context())
	parts.Serve("serve", opened.serve, opened.renew)
	t.Cleanup(func() { require.NoError(t, parts.Stop(context.WithoutCancel(running))) })
	address := opened.listener.Addr().String()
	link := host.NewRemoteLink(member.HostID, address, o.Client(func(context.Context, []byte) error { return nil }))
	defer link.Close()
	for http2, want := range map[bool]string{false: "traffic HTTP/1.1", true: "traffic HTTP/2.0"} {
		require.Equal(t, want, getOver(t, link, http2))
	}
	_, err = link.Info(t.Context())
	require.Error(t, err, "an RPC reaches its handler, which here is no agent")
	anonymous := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ServerName: authority.RPCName(member.HostID)} //nolint:gosec // who calls is what is tested
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: anonymous}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + address)
	if err == nil {
		response.Body.Close()
	}
	require.Error(t, err, "a client needs a certificate")
}

// getOver requests the path of an RPC over a connection for traffic.
func getOver(t *testing.T, link *host.Link, http2 bool) string {
	t.Helper()
	conn, err := link.DialTraffic(t.Context(), http2)
	require.NoError(t, err)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://guest.invalid/hostagent.v1.HostAgent/KillSandbox", nil)
	require.NoError(t, err)
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(content)
}
