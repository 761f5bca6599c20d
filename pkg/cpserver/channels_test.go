package cpserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
)

func TestChannels_TellAReceiverOfASandbox(t *testing.T) {
	t.Parallel()
	type received struct {
		header http.Header
		body   []byte
	}
	requests := make(chan received, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- received{r.Header, body}
	}))
	t.Cleanup(receiver.Close)
	p := setUp(t, http.NotFoundHandler())
	p.config.ChannelNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	p.start(t)

	var channel struct{ ID, Secret, Target string }
	made := p.do(t, http.MethodPost, "/channels", `{"kind": "webhook", "name": "hook",
		"eventTypes": ["sandbox.started"], "config": {"url": "`+receiver.URL+`/hook"}}`)
	requireStatus(t, http.StatusCreated, made)
	made.decode(t, &channel)
	require.Equal(t, receiver.URL, channel.Target)
	created := p.create(t, `{"templateID": "base", "timeout": 60}`)
	select {
	case got := <-requests:
		require.NoError(t, channels.Verify(channel.Secret, got.header, got.body, time.Minute))
		require.Contains(t, string(got.body), created.SandboxID)
	case <-time.After(patience):
		require.FailNow(t, "the receiver was not told")
	}
	path := "/channels/" + channel.ID
	var deliveries []struct{ ID, State string }
	eventually(t, "the delivery must be noted", func() bool {
		p.do(t, http.MethodGet, path+"/deliveries?state=delivered", "").decode(t, &deliveries)
		return len(deliveries) == 1
	})
	requireStatus(t, http.StatusAccepted, p.do(t, http.MethodPost, path+"/deliveries/"+deliveries[0].ID+"/redeliver", ""))
	requireStatus(t, http.StatusAccepted, p.do(t, http.MethodPost, path+"/test", ""))
	var first, rest []struct{ ID string }
	eventually(t, "both must come", func() bool {
		p.do(t, http.MethodGet, path+"/deliveries?state=delivered", "").decode(t, &deliveries)
		return len(deliveries) == 2 && len(requests) == 2
	})
	page := p.do(t, http.MethodGet, path+"/deliveries?limit=1", "")
	page.decode(t, &first)
	p.do(t, http.MethodGet, path+"/deliveries?limit=1&nextToken="+page.header.Get("X-Next-Token"), "").decode(t, &rest)
	require.NotEqual(t, first[0].ID, rest[0].ID)

	requireStatus(t, http.StatusOK, p.do(t, http.MethodPatch, path, `{"enabled": false}`))
	requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, path, ""))
	require.NotContains(t, string(p.do(t, http.MethodGet, "/channels", "").body), channel.Secret)
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/channels", `{"kind": "fax"}`))
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, path+"/deliveries?nextToken=x", ""))
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/channels/x", ""))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, path, ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, path, ""))
	require.NotEmpty(t, p.audit(t, "?action=channel.*&resource="+channel.ID))
}
