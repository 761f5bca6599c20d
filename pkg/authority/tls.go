package authority

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Check returns an error if the certificate of a fingerprint is not valid any more.
type Check func(ctx context.Context, fingerprint []byte) error

// checkTimeout bounds a Check within a handshake.
const checkTimeout = 5 * time.Second

// Client makes the configuration by which a control plane calls hosts. Its
// certificate renews itself; check is called at every handshake, so that a revoked
// certificate is refused at once. The caller sets the server name.
func (a *Authority) Client(check Check) *tls.Config {
	own := &ownCertificate{authority: a}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    a.pool(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own.get(time.Now())
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
			defer cancel()
			return check(ctx, Fingerprint(state.PeerCertificates[0].Raw))
		},
	}
}

func (a *Authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// ownCertificate is the certificate of this control plane for hosts.
type ownCertificate struct {
	authority *Authority
	mutex     sync.Mutex
	current   *tls.Certificate
	renewAt   time.Time
}

func (o *ownCertificate) get(now time.Time) (*tls.Certificate, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.current != nil && now.Before(o.renewAt) {
		return o.current, nil
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	certificate, err := o.authority.issueControlPlane(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	o.current = &tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}
	o.renewAt = now.Add(controlPlaneLifetime / 2)
	return o.current, nil
}

// Server makes the configuration of a host's server, which accepts control planes with a
// certificate of the authority only. certificate returns the host's own at every
// handshake, so that it can be renewed.
func Server(authority []byte, certificate func() (*tls.Certificate, error)) (*tls.Config, error) {
	root, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  pool,
		// A session ticket would be accepted after its certificate has expired.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate()
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if !isControlPlane(state.PeerCertificates[0]) {
				return errors.New("the certificate is not a control plane's")
			}
			return nil
		},
	}, nil
}

func isControlPlane(certificate *x509.Certificate) bool {
	return len(certificate.URIs) == 1 && certificate.URIs[0].String() == controlPlaneName &&
		slices.Contains(certificate.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}

// Route serves RPCs and traffic of a host at one address, by the server name of the
// handshake. Nothing in a request of traffic can therefore make it an RPC.
func Route(orders, traffic http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.TLS != nil && strings.HasPrefix(r.TLS.ServerName, "rpc."):
			orders.ServeHTTP(w, r)
		case r.TLS != nil && strings.HasPrefix(r.TLS.ServerName, "traffic."):
			traffic.ServeHTTP(w, r)
		default:
			http.Error(w, "the name is neither that of orders nor that of traffic", http.StatusMisdirectedRequest)
		}
	})
}
