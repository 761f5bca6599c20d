package channels_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

func TestChats_GetTheirOwnKindOfMessage(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t)
	const token = "123456:ABC-DEF1234ghIkl"
	for kind, test := range map[channels.Kind]struct {
		config channels.Config
		method string
		path   string
		check  func(t *testing.T, content map[string]any, header http.Header) string // the text
	}{
		channels.Slack: {
			channels.Config{URL: receiver.URL + "/services/SECRET"},
			"POST", "/services/SECRET",
			func(_ *testing.T, content map[string]any, _ http.Header) string { return content["text"].(string) },
		},
		channels.Discord: {
			channels.Config{URL: receiver.URL + "/api/webhooks/1/SECRET"},
			"POST", "/api/webhooks/1/SECRET",
			func(t *testing.T, content map[string]any, _ http.Header) string {
				require.Equal(t, map[string]any{"parse": []any{}}, content["allowed_mentions"])
				return content["content"].(string)
			},
		},
		channels.Teams: {
			channels.Config{URL: receiver.URL + "/workflows/SECRET"},
			"POST", "/workflows/SECRET",
			func(t *testing.T, content map[string]any, _ http.Header) string {
				require.Equal(t, "message", content["type"])
				encoded, err := json.Marshal(content["attachments"])
				require.NoError(t, err)
				return string(encoded)
			},
		},
		channels.GoogleChat: {
			channels.Config{URL: receiver.URL + "/v1/spaces/SECRET/messages"},
			"POST", "/v1/spaces/SECRET/messages",
			func(_ *testing.T, content map[string]any, _ http.Header) string { return content["text"].(string) },
		},
		channels.Telegram: {
			channels.Config{URL: receiver.URL, Token: token, ChatID: "-100"},
			"POST", "/bot" + token + "/sendMessage",
			func(t *testing.T, content map[string]any, _ http.Header) string {
				require.Equal(t, "-100", content["chat_id"])
				return content["text"].(string)
			},
		},
		channels.Matrix: {
			channels.Config{URL: receiver.URL, Token: "syt_SECRET", RoomID: "!room:example.org"},
			"PUT", "/_matrix/client/v3/rooms/!room:example.org/send/m.room.message/",
			func(t *testing.T, content map[string]any, header http.Header) string {
				require.Equal(t, "Bearer syt_SECRET", header.Get("Authorization"))
				return content["body"].(string)
			},
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			channel := w.create(t, kind, test.config, "key.created")
			require.NotContains(t, channel.Target, "SECRET")
			require.NotContains(t, channel.Target, token)
			w.record(t, events.KeyCreated, "k<!channel>@here")
			got := receiver.next(t)
			require.Equal(t, test.method, got.method)
			require.True(t, strings.HasPrefix(got.path, test.path), got.path)
			text := test.check(t, got.decode(t), got.header)
			require.Contains(t, text, "key.created")
			require.Contains(t, text, "a ‹test›")
			require.NotContains(t, text, "<!", "a client's text must not mention people")
			require.NotContains(t, text, "@here")
			require.NoError(t, w.service.Delete(t.Context(), w.team, channel.ID))
		})
	}
}

func TestEmail_IsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	channel := w.create(t, channels.Email, channels.Config{To: []string{"ops@example.com"}}, "sandbox.failed")
	require.Equal(t, "ops@example.com", channel.Target)
	w.mail.Refuse("451 try later")
	w.record(t, events.SandboxFailed, "isandbox1")
	w.await(t, channel.ID, "it must be refused once", func(d channels.Delivery) bool { return len(d.Attempts) > 0 })
	w.mail.Refuse("")
	letter := w.mail.Next(t)
	require.Equal(t, []string{"ops@example.com"}, letter.To)
	require.Equal(t, "Wrenn: sandbox.failed isandbox1", letter.Header.Get("Subject"))
	require.Contains(t, letter.Body, "Reason: a")
	delivery := w.awaitState(t, channel.ID, channels.Delivered)
	require.Equal(t, channels.FailureMail, delivery.Attempts[0].Failure)
}
