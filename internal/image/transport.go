package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

// Registries are what the operator says of registries. Hosts are as in names of images,
// with the port where that is not the usual one: registry.example.com:5000.
type Registries struct {
	// Insecure are spoken to without TLS, also where they have it. They may be at private
	// addresses.
	Insecure []string
	// Private may be at private addresses.
	Private []string
	// CAFile has certificates of authorities, in PEM, that are trusted besides the system's;
	// empty for none.
	CAFile string
}

// Check returns an error that names all hosts that are none.
func (r Registries) Check() error {
	var failures []error
	for _, host := range append(slices.Clone(r.Insecure), r.Private...) {
		if registry, err := name.NewRegistry(host); err != nil || registry.RegistryStr() != host || strings.ContainsAny(host, "/@ ") {
			failures = append(failures, fmt.Errorf("%q is not a registry's host, such as registry.example.com:5000", host))
		}
	}
	return errors.Join(failures...)
}

const (
	dialTimeout = 15 * time.Second
	// idleTimeout is how long a registry may send nothing.
	idleTimeout = 60 * time.Second
	// mostAnswerBytes is for all that is not a layer.
	mostAnswerBytes = 8 << 20
)

// registryTransport sends requests to registries, and to where those send us.
type registryTransport struct {
	insecure []string
	// trusted are hosts that the operator has named.
	trusted         []string
	guarded, exempt http.RoundTripper
}

func newTransport(registries Registries) (*registryTransport, error) {
	if err := registries.Check(); err != nil {
		return nil, err
	}
	authorities, err := authorities(registries.CAFile)
	if err != nil {
		return nil, err
	}
	t := &registryTransport{insecure: registries.Insecure, trusted: append(slices.Clone(registries.Insecure), registries.Private...)}
	t.guarded = newHTTPTransport(authorities, &net.Dialer{Timeout: dialTimeout, ControlContext: internet.Guard{}.Control})
	t.exempt = newHTTPTransport(authorities, &net.Dialer{Timeout: dialTimeout})
	return t, nil
}

// authorities returns those of the system and of a file, or nil for the system's alone.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("authorities of registries: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("authorities of registries: %s has no certificate in PEM", path)
	}
	return pool, nil
}

// newHTTPTransport uses no proxy of the environment: a proxy would connect to addresses
// that the dialer refuses.
func newHTTPTransport(authorities *x509.CertPool, dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &impatient{connection}, nil
		},
		TLSClientConfig:     &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: idleTimeout, IdleConnTimeout: idleTimeout,
		MaxIdleConnsPerHost: 4, ForceAttemptHTTP2: true,
		// Layers are packed already, and a small answer must not become a large one.
		DisableCompression: true, MaxResponseHeaderBytes: 1 << 18,
	}
}

// impatient is a connection that fails when nothing comes for idleTimeout.
type impatient struct{ net.Conn }

func (c *impatient) Read(buffer []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(buffer)
}

func (c *impatient) Write(buffer []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(buffer)
}

// RoundTrip decides by the host of each request: where a registry redirects to another
// host, its own exemptions do not hold.
func (t *registryTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && !slices.Contains(t.insecure, request.URL.Host) {
		return nil, errPlainHTTP
	}
	through := t.guarded
	if slices.Contains(t.trusted, request.URL.Host) {
		through = t.exempt
	}
	response, err := through.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	// Layers have sizes, which are checked when they are stored.
	if !strings.Contains(origin(request).URL.Path, "/blobs/") {
		response.Body = &limitedBody{response.Body, mostAnswerBytes}
	}
	return response, nil
}

// origin is the request that led to one by redirects.
func origin(request *http.Request) *http.Request {
	for request.Response != nil && request.Response.Request != nil {
		request = request.Response.Request
	}
	return request
}

// limitedBody ends with an error after a number of bytes.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(buffer []byte) (int, error) {
	if b.left <= 0 {
		return 0, invalid("The registry's answer is larger than %d bytes, which is the limit.", mostAnswerBytes)
	}
	n, err := b.ReadCloser.Read(buffer[:min(int64(len(buffer)), b.left)])
	b.left -= int64(n)
	return n, err
}
