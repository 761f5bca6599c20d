package image_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// small is an image with one file.
func small(t *testing.T, content string) v1.Image {
	t.Helper()
	return imagetest.Image(t, v1.Config{}, imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.File("file", 0o644, content))))
}

// refusal wants an error of a cause, whose message has nothing of what a registry said.
func refusal(t *testing.T, err error, cause image.Cause, parts ...string) {
	t.Helper()
	var refused *image.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, cause, refused.Cause, "%v", err)
	for _, part := range parts {
		require.Contains(t, refused.Message, part)
	}
	require.NotContains(t, refused.Message, "said-by-the-registry")
}

func resolve(t *testing.T, store *image.Store, source image.Source) error {
	t.Helper()
	_, err := store.Resolve(t.Context(), source, image.DefaultPlatform)
	return err
}

func TestResolve_SaysThatAnImageOrItsTagDoesNotExist(t *testing.T) {
	registry := imagetest.Serve(t)
	registry.Push(t, "team/app:1", small(t, "x"))
	store := openStore(t, registry)
	for _, name := range []string{"/team/app:2", "/team/other", "/team/app@sha256:" + strings.Repeat("0", 64)} {
		refusal(t, resolve(t, store, image.Source{Reference: registry.Host + name}), image.NotFound, "There is no image "+registry.Host+name)
	}
}

func TestResolve_ChecksNames(t *testing.T) {
	store := openStore(t)
	for _, name := range []string{"", "UPPER/case", "a b", "https://example.com/app", "app:", "app@sha256:12", strings.Repeat("a", 2000), "host:99999999999/x@y@z"} {
		refusal(t, resolve(t, store, image.Source{Reference: name}), image.Invalid, "This is not the name of an image")
	}
}

func TestResolve_SaysWhetherCredentialsAreMissingOrWrong(t *testing.T) {
	registry := imagetest.ServePrivate(t, "user", "right")
	reference := registry.Push(t, "team/app:1", small(t, "x"))
	store := openStore(t, registry)
	refusal(t, resolve(t, store, image.Source{Reference: reference}), image.Unauthorized, "does not exist, or needs credentials")
	refusal(t, resolve(t, store, image.Source{Reference: reference, Credentials: image.Basic{Username: "user", Password: "wrong"}}),
		image.Unauthorized, "refuses the credentials")
	disk, _, _ := makeDisk(t, store, image.Source{Reference: reference, Credentials: image.Basic{Username: "user", Password: "right"}})
	require.Equal(t, "x", content(t, disk, "/file"))
}

func TestResolve_LogsInWithTheKeyFileOfAServiceAccount(t *testing.T) {
	key := `{"type": "service_account", "private_key": "-----BEGIN"}`
	registry := imagetest.ServePrivate(t, "_json_key", key)
	reference := registry.Push(t, "project/app:1", small(t, "x"))
	store := openStore(t, registry)
	require.NoError(t, resolve(t, store, image.Source{Reference: reference, Credentials: image.Google{ServiceAccountJSON: key}}))
	for _, wrong := range []string{"", "{}", `{"type": "authorized_user", "private_key": "x"}`} {
		refusal(t, resolve(t, store, image.Source{Reference: reference, Credentials: image.Google{ServiceAccountJSON: wrong}}),
			image.Unauthorized, "not the key file of a service account")
	}
}

func TestResolve_ChoosesThePlatformAndListsWhatThereIs(t *testing.T) {
	registry := imagetest.Serve(t)
	both := registry.PushIndex(t, "team/both:1", imagetest.Index(t, map[string]v1.Image{
		"linux/amd64": small(t, "amd"),
		"linux/arm64": imagetest.ImageFor(t, v1.Platform{OS: "linux", Architecture: "arm64"}, v1.Config{}),
	}))
	store := openStore(t, registry)
	disk, found, _ := makeDisk(t, store, image.Source{Reference: both})
	require.Equal(t, "amd", content(t, disk, "/file"))
	want, err := small(t, "amd").Digest()
	require.NoError(t, err)
	require.Equal(t, want.String(), found.Digest, "the digest is the image's, not the index's")

	arm := imagetest.ImageFor(t, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, v1.Config{})
	windows := imagetest.ImageFor(t, v1.Platform{OS: "windows", Architecture: "amd64"}, v1.Config{})
	others := registry.PushIndex(t, "team/others:1", imagetest.Index(t, map[string]v1.Image{"linux/arm64/v8": arm, "windows/amd64": windows}))
	refusal(t, resolve(t, store, image.Source{Reference: others}), image.WrongPlatform, "not for linux/amd64", "It is for: linux/arm64/v8, windows/amd64.")
	refusal(t, resolve(t, store, image.Source{Reference: registry.Push(t, "team/arm:1", arm)}), image.WrongPlatform, "It is for: linux/arm64")
}

func TestResolve_ReachesNoPrivateAddressesUnlessConfigured(t *testing.T) {
	usual := imagetest.Serve(t)
	reference := usual.Push(t, "team/app:1", small(t, "x"))
	refusal(t, resolve(t, openStore(t), image.Source{Reference: reference}), image.RegistryUnreachable, "is not at a public address")
	for _, host := range []string{"localhost:1", "169.254.169.254", "10.1.2.3:5000", "[::1]:5000", "192.168.0.1"} {
		refusal(t, resolve(t, openStore(t), image.Source{Reference: host + "/app"}), image.RegistryUnreachable, "WRENN_")
	}
}

func TestPull_FollowsNoRegistryToPrivateAddresses(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private server was asked") }))
	defer secret.Close()
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"redirect": func(usual http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if request.Method == http.MethodGet && strings.Contains(request.URL.Path, "/blobs/") {
					http.Redirect(w, request, secret.URL, http.StatusTemporaryRedirect)
					return
				}
				usual.ServeHTTP(w, request)
			})
		},
		"token": func(usual http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if request.Method == http.MethodGet {
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.Replace(secret.URL, "http://127.0.0.1", "https://localhost", 1)+`/token",service="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				usual.ServeHTTP(w, request)
			})
		},
	} {
		registry := imagetest.ServeHandler(t, wrap)
		if name == "redirect" {
			registry.Push(t, "team/app:1", small(t, "x"))
		}
		err := resolve(t, openStore(t, registry), image.Source{Reference: registry.Host + "/team/app:1"})
		refusal(t, err, image.RegistryUnreachable)
	}
}

func TestResolve_TellsFailuresOfARegistryApart(t *testing.T) {
	for status, want := range map[int]image.Cause{
		http.StatusInternalServerError: image.RegistryUnreachable, http.StatusTooManyRequests: image.RegistryUnreachable,
		http.StatusForbidden: image.Unauthorized, http.StatusTeapot: image.Invalid,
	} {
		registry := imagetest.ServeHandler(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if request.URL.Path == "/v2/" {
					return
				}
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(status)
				fmt.Fprint(w, `{"errors":[{"code":"X","message":"said-by-the-registry"}]}`)
			})
		})
		refusal(t, resolve(t, openStore(t, registry), image.Source{Reference: registry.Host + "/app"}), want)
	}
	gone := imagetest.Serve(t)
	closed := &imagetest.Registry{Host: "127.0.0.1:1"}
	refusal(t, resolve(t, openStore(t, gone, closed), image.Source{Reference: closed.Host + "/app"}), image.RegistryUnreachable, "cannot be reached")
	refusal(t, resolve(t, openStore(t), image.Source{Reference: "registry.invalid/app"}), image.RegistryUnreachable, "registry.invalid")
}

func TestResolve_RefusesWhatIsNoImage(t *testing.T) {
	answer := func(kind, manifest string) *imagetest.Registry {
		return imagetest.ServeHandler(t, func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if strings.Contains(request.URL.Path, "/manifests/") {
					w.Header().Set("Content-Type", kind)
					fmt.Fprint(w, manifest)
				}
			})
		})
	}
	const usual, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	config := `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:` + strings.Repeat("0", 64) + `","size":`
	for _, refused := range []struct{ kind, manifest, want string }{
		{"text/html", "<html>", "not an image of a kind that can be used"},
		{"application/vnd.docker.distribution.manifest.v1+prettyjws", "{}", "not an image of a kind that can be used"},
		{usual, "{", "cannot be read"},
		{usual, "{}", "not a container image but something else"},
		{usual, `{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"}}`, "not a container image but something else"},
		{usual, `{` + config + `999999999}}`, "larger than 8388608 bytes"},
		{index, "[", "cannot be read"},
		{usual, strings.Repeat(" ", 9<<20), "larger than 8388608 bytes"},
	} {
		registry := answer(refused.kind, refused.manifest)
		refusal(t, resolve(t, openStore(t, registry), image.Source{Reference: registry.Host + "/app"}), image.Invalid, refused.want)
	}
}

// serveTLS serves an image with a certificate of an authority of its own.
func serveTLS(t *testing.T) (host, authority string) {
	t.Helper()
	inner := imagetest.Serve(t)
	inner.Push(t, "team/app:1", small(t, "x"))
	server := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: inner.Host}))
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return strings.TrimPrefix(server.URL, "https://"), authority
}

func TestOpen_TrustsAPrivateAuthorityAndAPrivateRegistry(t *testing.T) {
	host, authority := serveTLS(t)
	source := image.Source{Reference: host + "/team/app:1"}
	open := func(registries image.Registries) *image.Store {
		store, err := image.Open(image.StoreConfig{BlobDir: t.TempDir(), DiskDir: t.TempDir(), Registries: registries})
		require.NoError(t, err)
		return store
	}
	refusal(t, resolve(t, open(image.Registries{CAFile: authority}), source), image.RegistryUnreachable, "WRENN_PRIVATE_REGISTRIES")
	refusal(t, resolve(t, open(image.Registries{Private: []string{host}}), source), image.RegistryUnreachable, "certificate that this installation does not trust")
	require.NoError(t, resolve(t, open(image.Registries{Private: []string{host}, CAFile: authority}), source))

	plain := imagetest.Serve(t)
	plain.Push(t, "team/app:1", small(t, "x"))
	err := resolve(t, open(image.Registries{Private: []string{plain.Host}}), image.Source{Reference: plain.Host + "/team/app:1"})
	refusal(t, err, image.RegistryUnreachable, "does not use TLS")
}

func TestOpen_ChecksItsConfiguration(t *testing.T) {
	open := func(registries image.Registries) error {
		_, err := image.Open(image.StoreConfig{BlobDir: t.TempDir(), DiskDir: t.TempDir(), Registries: registries})
		return err
	}
	for _, host := range []string{"https://example.com", "example.com/team", "", "ex ample.com"} {
		require.ErrorContains(t, open(image.Registries{Insecure: []string{host}}), "is not a registry's host")
	}
	require.ErrorIs(t, open(image.Registries{CAFile: filepath.Join(t.TempDir(), "missing")}), os.ErrNotExist)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	require.ErrorContains(t, open(image.Registries{CAFile: empty}), "has no certificate in PEM")
}
