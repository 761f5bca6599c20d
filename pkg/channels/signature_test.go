package channels_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
)

// The example of the specification's test vectors.
func TestSign_IsTheStandardsSignature(t *testing.T) {
	t.Parallel()
	const secret, id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
	header := http.Header{}
	require.NoError(t, channels.Sign(header, secret, id, time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", header.Get("webhook-signature"))
	require.Equal(t, "1614265330", header.Get("webhook-timestamp"))
	require.Equal(t, id, header.Get("webhook-id"))
}

func TestSign_IsVerifiedByTheLibrary(t *testing.T) {
	t.Parallel()
	secret := channels.NewSecret()
	receiver, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	header := http.Header{}
	require.NoError(t, channels.Sign(header, secret, "msg_1", time.Now(), []byte("{}")))
	require.NoError(t, receiver.Verify([]byte("{}"), header))
	require.Error(t, receiver.Verify([]byte("[]"), header))
}

// Secrets that a team chose, or that an earlier version made, need not be base64.
func TestSign_UsesASecretThatIsNotBase64AsTheKey(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"a secret, not base64", "whsec_as-earlier-versions_made-them"} {
		receiver, err := standardwebhooks.NewWebhookRaw([]byte(secret))
		require.NoError(t, err)
		header := http.Header{}
		require.NoError(t, channels.Sign(header, secret, "msg_1", time.Now(), []byte("{}")))
		require.NoError(t, receiver.Verify([]byte("{}"), header))
		require.NoError(t, channels.Verify(secret, header, []byte("{}"), time.Minute))
	}
}

// Receivers that verify the signature from before Standard Webhooks go on to work.
func TestSign_AddsTheOldSignatureForOneRelease(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	require.NoError(t, channels.Sign(header, "0123456789abcdef", "d", time.Unix(1700000000, 0), []byte(`{"a":1}`)))
	require.Equal(t, "1700000000", header.Get("Wrenn-Timestamp"))
	require.Equal(t, "d", header.Get("Wrenn-Delivery-Id"))
	require.Equal(t, "v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23", header.Get("Wrenn-Signature"))
}

func TestVerify_RefusesWhatIsOldOrChanged(t *testing.T) {
	t.Parallel()
	secret, body := channels.NewSecret(), []byte("{}")
	signed := func(at time.Time) http.Header {
		header := http.Header{}
		require.NoError(t, channels.Sign(header, secret, "msg_1", at, body))
		return header
	}
	require.NoError(t, channels.Verify(secret, signed(time.Now()), body, time.Minute))
	for name, header := range map[string]http.Header{
		"old": signed(time.Now().Add(-time.Hour)), "future": signed(time.Now().Add(time.Hour)), "missing": {},
	} {
		require.ErrorIs(t, channels.Verify(secret, header, body, time.Minute), channels.ErrSignature, name)
	}
	for _, name := range []string{channels.IDHeader, channels.SignatureHeader} {
		header := signed(time.Now())
		header.Set(name, strings.Repeat("v1,A", 3))
		require.ErrorIs(t, channels.Verify(secret, header, body, time.Minute), channels.ErrSignature, name)
	}
	require.ErrorIs(t, channels.Verify(channels.NewSecret(), signed(time.Now()), body, time.Minute), channels.ErrSignature)
}
