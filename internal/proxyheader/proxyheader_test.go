package proxyheader

import (
	"net/http"
	"net/http/httputil"
	"testing"

	"github.com/stretchr/testify/require"
)

func prepare(in http.Header) http.Header {
	r := &httputil.ProxyRequest{In: &http.Request{Header: in}, Out: &http.Request{Header: in.Clone()}}
	for _, name := range forwarding {
		r.Out.Header.Del(name)
	}
	Prepare(r)
	return r.Out.Header
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	for offer, left := range map[string]string{"h2c": "", "H2C": "", "websocket, h2c": "", "websocket": "websocket"} {
		t.Run("upgrade to "+offer, func(t *testing.T) {
			t.Parallel()
			header := prepare(http.Header{"Upgrade": {offer}, "Connection": {"Upgrade"}, "Http2-Settings": {"AAMAAABk"}})
			require.Equal(t, left, header.Get("Upgrade"))
			require.Equal(t, left != "", header.Get("Connection") != "")
			require.NotContains(t, header, "Http2-Settings")
		})
	}
	t.Run("forwarding headers are kept", func(t *testing.T) {
		t.Parallel()
		in := http.Header{"Forwarded": {"for=192.0.2.1"}, "X-Forwarded-For": {"192.0.2.1", "192.0.2.2"}, "X-Forwarded-Proto": {"https"}}
		require.Equal(t, in, prepare(in))
	})
}
