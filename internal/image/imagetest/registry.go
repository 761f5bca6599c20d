package imagetest

import (
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// Registry is a registry on loopback, without TLS.
type Registry struct {
	// Host is as in names of images: an address and a port.
	Host string

	login authn.Authenticator
}

// Serve starts a registry that asks for no credentials. It ends with the test.
func Serve(t testing.TB) *Registry { return serve(t, newRegistry(), authn.Anonymous) }

// ServePrivate starts a registry that wants a user name and a password.
func ServePrivate(t testing.TB, username, password string) *Registry {
	inner := newRegistry()
	guarded := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		gotUsername, gotPassword, _ := request.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(gotUsername+":"+gotPassword), []byte(username+":"+password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, request)
	})
	return serve(t, guarded, &authn.Basic{Username: username, Password: password})
}

// ServeHandler starts a registry that a handler makes of a usual one, to see what is asked
// or to answer otherwise.
func ServeHandler(t testing.TB, wrap func(usual http.Handler) http.Handler) *Registry {
	return serve(t, wrap(newRegistry()), authn.Anonymous)
}

func newRegistry() http.Handler {
	return registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
}

func serve(t testing.TB, handler http.Handler, login authn.Authenticator) *Registry {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return &Registry{Host: address.Host, login: login}
}

// Push stores an image by a name such as team/app:1.0, and returns its reference.
func (r *Registry) Push(t testing.TB, as string, image v1.Image) string {
	t.Helper()
	reference := r.reference(t, as)
	require.NoError(t, remote.Write(reference, image, remote.WithAuth(r.login)))
	return r.Host + "/" + as
}

// PushIndex stores an index and its images.
func (r *Registry) PushIndex(t testing.TB, as string, index v1.ImageIndex) string {
	t.Helper()
	reference := r.reference(t, as)
	require.NoError(t, remote.WriteIndex(reference, index, remote.WithAuth(r.login)))
	return r.Host + "/" + as
}

func (r *Registry) reference(t testing.TB, as string) name.Reference {
	t.Helper()
	reference, err := name.ParseReference(r.Host+"/"+as, name.Insecure)
	require.NoError(t, err)
	return reference
}
