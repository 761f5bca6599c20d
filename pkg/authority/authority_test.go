package authority_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
)

func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	made, err := authority.New()
	require.NoError(t, err)
	key, err := made.Key()
	require.NoError(t, err)
	loaded, err := authority.Load(made.Certificate(), key)
	require.NoError(t, err, "what is stored can be read back")
	return loaded
}

// issue makes a host's key and has it certified.
func issue(t *testing.T, a *authority.Authority, hostID uuid.UUID) *tls.Certificate {
	t.Helper()
	key, err := authority.NewKey()
	require.NoError(t, err)
	request, err := authority.NewRequest(key)
	require.NoError(t, err)
	certificate, _, err := a.IssueHost(hostID, request)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}
}

// handshake has a host and a caller meet, and returns what each thinks of it.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	ended := make(chan error, 1)
	go func() {
		defer far.Close()
		conn := tls.Server(far, server)
		err := conn.HandshakeContext(context.Background())
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		ended <- err
	}()
	conn := tls.Client(near, client)
	// In TLS 1.3 a client hears of its refusal with the first read only.
	_, clientErr = io.ReadFull(conn, make([]byte, 1))
	near.Close()
	return <-ended, clientErr
}

func fine(context.Context, []byte) error { return nil }

func TestTLS_ConnectsControlPlanesAndHostsOfOneAuthorityOnly(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	hostID, neighbour := uuid.New(), uuid.New()
	certificate := issue(t, a, hostID)
	server, err := authority.Server(a.Certificate(), func() (*tls.Certificate, error) { return certificate, nil })
	require.NoError(t, err)
	call := func(config *tls.Config, name string) *tls.Config {
		config = config.Clone()
		config.ServerName = name
		return config
	}
	asHost := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*issue(t, a, neighbour)}}
	root, err := x509.ParseCertificate(a.Certificate())
	require.NoError(t, err)
	asHost.RootCAs.AddCert(root)
	revoked := errors.New("revoked")
	for name, test := range map[string]struct {
		client *tls.Config
		passes bool
	}{
		"control plane for orders":  {call(a.Client(fine), authority.RPCName(hostID)), true},
		"control plane for traffic": {call(a.Client(fine), authority.TrafficName(hostID)), true},
		"it wants another host":     {call(a.Client(fine), authority.RPCName(neighbour)), false},
		"another authority's":       {call(other.Client(fine), authority.RPCName(hostID)), false},
		"the host is revoked":       {call(a.Client(func(context.Context, []byte) error { return revoked }), authority.RPCName(hostID)), false},
		"another host":              {call(asHost, authority.RPCName(hostID)), false},
		"no certificate":            {call(&tls.Config{RootCAs: asHost.RootCAs, MinVersion: tls.VersionTLS13}, authority.RPCName(hostID)), false},
	} {
		serverErr, clientErr := handshake(t, server, test.client)
		if test.passes {
			require.NoError(t, serverErr, name)
			require.NoError(t, clientErr, name)
		} else {
			require.Error(t, clientErr, name)
		}
	}
}

func TestIssueHost_WantsAProofOfTheKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	key, err := authority.NewKey()
	require.NoError(t, err)
	request, err := authority.NewRequest(key)
	require.NoError(t, err)
	request[len(request)-1] ^= 1
	_, _, err = a.IssueHost(uuid.New(), request)
	require.Error(t, err)
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	request, err = authority.NewRequest(weak)
	require.NoError(t, err)
	_, _, err = a.IssueHost(uuid.New(), request)
	require.Error(t, err)
	_, _, err = a.IssueHost(uuid.New(), []byte("nonsense"))
	require.Error(t, err)
}

func TestVerify_WantsTheOldKeysSignature(t *testing.T) {
	t.Parallel()
	old := issue(t, newAuthority(t), uuid.New())
	fresh, err := authority.NewKey()
	require.NoError(t, err)
	request, err := authority.NewRequest(fresh)
	require.NoError(t, err)
	signature, err := authority.Sign(old.PrivateKey.(*ecdsa.PrivateKey), request)
	require.NoError(t, err)
	require.NoError(t, authority.Verify(old.Certificate[0], request, signature))
	forged, err := authority.Sign(fresh, request)
	require.NoError(t, err)
	require.Error(t, authority.Verify(old.Certificate[0], request, forged))
	require.Error(t, authority.Verify(old.Certificate[0], append(request, 0), signature))
}

func TestLoad_WantsTheKeyOfTheCertificate(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t), newAuthority(t)
	key, err := b.Key()
	require.NoError(t, err)
	_, err = authority.Load(a.Certificate(), key)
	require.Error(t, err)
}
