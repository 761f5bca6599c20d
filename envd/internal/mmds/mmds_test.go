package mmds

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// serve answers as Firecracker does; a real one answers in the driver's tests.
func serve(t *testing.T, content string) *Service {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-metadata-token-ttl-seconds") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte("session"))
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-metadata-token") != "session" || r.Header.Get("Accept") != "application/json" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(content))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return newService(server.URL)
}

func TestRead_TellsWhoThisIs(t *testing.T) {
	metadata, err := serve(t, `{"instanceID":"ione","envID":"base","accessTokenHash":"ab","more":1}`).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, Metadata{SandboxID: "ione", TemplateID: "base", SecretDigest: "ab"}, metadata)
}

func TestRead_LeavesMalformedIdentifiersOut(t *testing.T) {
	metadata, err := serve(t, `{"instanceID":"not a label","envID":"base","accessTokenHash":"ab"}`).Read(t.Context())
	require.ErrorIs(t, err, id.ErrMalformed)
	require.Equal(t, Metadata{TemplateID: "base", SecretDigest: "ab"}, metadata)
}

func TestRead_SaysWhatWentWrong(t *testing.T) {
	_, err := serve(t, `{"instanceID":`).Read(t.Context())
	require.ErrorContains(t, err, "ask the metadata service")
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	_, err = newService(refusing.URL).Read(t.Context())
	require.ErrorContains(t, err, "404")
	refusing.Close()
	_, err = newService(refusing.URL).Read(t.Context())
	require.Error(t, err)
}

func TestFind_OnlyWhereTheHostSaysSo(t *testing.T) {
	require.Nil(t, Find(), "this machine was not started by Wrenn")
	require.True(t, announced("console=ttyS0 wrenn.mmds quiet\n"))
	require.False(t, announced("console=ttyS0 xwrenn.mmds=no\n"))
	require.False(t, announced(""))
}
