package e2e

import (
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// What opens the registry of images.
const (
	registryUser     = "puller"
	registryPassword = "a password of the registry"
)

// images is a private registry on loopback. Wrenn is told its address when it starts.
type images struct {
	address  string
	listener net.Listener // nil after the first serve
}

func newImages() (*images, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &images{address: listener.Addr().String(), listener: listener}, nil
}

// serve answers until the test ends, and has the image team/debian:1. It returns the
// variables by which cases reach it.
func (i *images) serve(t *testing.T) []string {
	t.Helper()
	listener := i.listener
	if i.listener = nil; listener == nil {
		var err error
		listener, err = net.Listen("tcp", i.address)
		require.NoError(t, err)
	}
	stored := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(registryUser+":"+registryPassword)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		stored.ServeHTTP(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve images: %v", err)
		}
	})
	i.push(t, "debian", imagetest.Debian(t))
	return []string{
		"WRENN_TEST_REGISTRY=" + i.address, "WRENN_TEST_REGISTRY_USER=" + registryUser, "WRENN_TEST_REGISTRY_PASSWORD=" + registryPassword,
	}
}

// push puts an image into the registry while it serves, as team/NAME:1, and returns its
// reference.
func (i *images) push(t *testing.T, as string, pushed v1.Image) string {
	t.Helper()
	reference, err := name.ParseReference(i.address+"/team/"+as+":1", name.Insecure)
	require.NoError(t, err)
	login := &authn.Basic{Username: registryUser, Password: registryPassword}
	require.NoError(t, remote.Write(reference, pushed, remote.WithAuth(login)))
	return reference.String()
}
