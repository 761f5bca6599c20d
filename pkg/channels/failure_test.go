package channels_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

func TestDelivery_FailsForOneOfAFixedListOfReasons(t *testing.T) {
	t.Parallel()
	talkative := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("the secret of an internal service"))
	}))
	t.Cleanup(talkative.Close)
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(encrypted.Close)
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, unused.Close())
	w := newWorld(t, options{allowed: []netip.Prefix{loopback}, delay: time.Hour})
	for address, want := range map[string]channels.Failure{
		talkative.URL:                         "the receiver answered 418",
		encrypted.URL:                         channels.FailureCertificate,
		"https" + talkative.URL[len("http"):]: channels.FailureNoTLS,
		"http://" + unused.Addr().String():    channels.FailureUnreachable,
		"https://name.invalid/hook":           channels.FailureUnknownName,
		"http://10.0.0.1/hook":                channels.FailureForbiddenAddress,
		"https://168.63.129.16/metadata":      channels.FailureForbiddenAddress,
		"https://[64:ff9b::169.254.169.254]/": channels.FailureForbiddenAddress,
		"https://[2002:a9fe:a9fe::1]/":        channels.FailureForbiddenAddress,
	} {
		t.Run(address, func(t *testing.T) {
			channel := w.create(t, channels.Webhook, channels.Config{URL: address}, "key.*")
			_, err := w.service.Test(t.Context(), w.team, channel.ID)
			require.NoError(t, err)
			tried := w.await(t, channel.ID, "the test must be tried", func(d channels.Delivery) bool { return len(d.Attempts) > 0 })
			require.Equal(t, want, tried.Attempts[0].Failure)
		})
	}
}

// The last change of a channel's address decides which kinds are hidden.
func TestChannel_DeliversNoKindsThatItsMakerMayNotRead(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t)
	channel := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "secret.*", "key.*")
	w.record(t, events.SecretCreated, "told")
	require.Equal(t, "told", receiver.next(t).decode(t)["resourceID"])
	told := w.awaitState(t, channel.ID, channels.Delivered)

	all := []string{"secret.*", "key.*"}
	_, err := w.service.Update(t.Context(), w.team, channel.ID, channels.Change{EventTypes: &all, HiddenKinds: []string{"secret"}})
	require.NoError(t, err)
	w.record(t, events.SecretUpdated, "hidden")
	w.record(t, events.KeyCreated, "shown")
	require.Equal(t, "shown", receiver.next(t).decode(t)["resourceID"])
	shown, err := w.service.Deliveries(t.Context(), w.team, channel.ID, channels.DeliveryPage{Limit: 10, HiddenKinds: []string{"secret"}})
	require.NoError(t, err)
	require.Len(t, shown, 1)
	_, err = w.service.Redeliver(t.Context(), w.team, channel.ID, told.ID, []string{"secret"})
	require.Error(t, err)
	_, err = w.service.Redeliver(t.Context(), w.team, channel.ID, told.ID, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		dead, err := w.service.Deliveries(t.Context(), w.team, channel.ID, channels.DeliveryPage{State: channels.Dead, Limit: 1})
		require.NoError(t, err)
		return len(dead) == 1 && dead[0].Attempts[len(dead[0].Attempts)-1].Failure == channels.FailureHidden
	}, patience, 20*time.Millisecond, "what is hidden now is not sent again")
}
