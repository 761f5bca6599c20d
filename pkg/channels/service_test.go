package channels_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

func TestCreate_NamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	service := &channels.Service{}
	for body, field := range map[string]string{
		`{"kind": "pager", "name": "x", "config": {}}`:                                                                                  "kind",
		`{"kind": "webhook", "name": "", "config": {"url": "https://example.com"}}`:                                                     "name",
		`{"kind": "webhook", "name": "x\u0000", "config": {"url": "https://example.com"}}`:                                              "name",
		`{"kind": "webhook", "name": "x"}`:                                                                                              "config",
		`{"kind": "webhook", "name": "x", "config": {"uri": "https://example.com"}}`:                                                    "config",
		`{"kind": "webhook", "name": "x", "config": {}}`:                                                                                "config.url",
		`{"kind": "webhook", "name": "x", "config": {"url": "ftp://example.com"}}`:                                                      "config.url",
		`{"kind": "webhook", "name": "x", "config": {"url": "https://user:pass@example.com"}}`:                                          "config.url",
		`{"kind": "webhook", "name": "x", "config": {"url": "https:example.com"}}`:                                                      "config.url",
		`{"kind": "webhook", "name": "x", "config": {"url": "https://example.com", "secret": "short"}}`:                                 "config.secret",
		`{"kind": "slack", "name": "x", "config": {"url": "https://example.com", "secret": "0123456789abcdef"}}`:                        "config.secret",
		`{"kind": "slack", "name": "x", "eventTypes": ["everything"], "config": {"url": "https://example.com"}}`:                        "eventTypes",
		`{"kind": "telegram", "name": "x", "config": {"token": "../../x", "chatID": "1"}}`:                                              "config.token",
		`{"kind": "telegram", "name": "x", "config": {"token": "123:ABCDEFGHIJKL", "chatID": "x y"}}`:                                   "config.chatID",
		`{"kind": "matrix", "name": "x", "config": {"url": "https://example.com", "token": "a\nb", "roomID": "!a:b"}}`:                  "config.token",
		`{"kind": "matrix", "name": "x", "config": {"url": "https://example.com", "token": "t", "roomID": "#a:b"}}`:                     "config.roomID",
		`{"kind": "email", "name": "x", "config": {"to": []}}`:                                                                          "config.to",
		`{"kind": "email", "name": "x", "config": {"to": ["nobody"]}}`:                                                                  "config.to",
		`{"kind": "email", "name": "x", "config": {"to": ["` + strings.Repeat(`a@example.com","`, 10) + `a@example.com"]}}`:             "config.to",
		`{"kind": "webhook", "name": "x", "config": {"url": "https://example.com/` + strings.Repeat("x", 3000) + `"}}`:                  "config.url",
		fmt.Sprintf(`{"kind": "webhook", "name": %q, "config": {"url": "https://example.com"}}`, strings.Repeat("x", 300)):              "name",
		`{"kind": "webhook", "name": "x", "eventTypes": [` + strings.Repeat(`"a.b",`, 60) + `"a.b"], "config": {"url": "https://a.b"}}`: "eventTypes",
	} {
		var wanted channels.NewChannel
		require.NoError(t, json.Unmarshal([]byte(body), &wanted))
		_, err := service.Create(t.Context(), uuid.New(), wanted)
		require.True(t, fault.Is(err, fault.Invalid), "%s: %v", body, err)
		require.ErrorContains(t, err, field, body)
	}
}

func TestUpdate_KeepsTheSecretOfAWebhookUnlessThereIsAnother(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t)
	made := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL + "/old"}, "key.*")
	name, types := "another", []string{"sandbox.*"}
	moved, err := w.service.Update(t.Context(), w.team, made.ID, channels.Change{
		Name: &name, EventTypes: &types, Config: &channels.Config{URL: receiver.URL + "/new"},
	})
	require.NoError(t, err)
	require.Empty(t, moved.Secret)
	require.Equal(t, name, moved.Name)
	require.Equal(t, types, moved.EventTypes)
	require.Equal(t, receiver.URL, moved.Target)
	_, err = w.service.Test(t.Context(), w.team, made.ID)
	require.NoError(t, err)
	got := receiver.next(t)
	require.Equal(t, "/new", got.path)
	require.NoError(t, channels.Verify(made.Secret, got.header, got.body, time.Minute))
	changed, err := w.service.Update(t.Context(), w.team, made.ID, channels.Change{
		Config: &channels.Config{URL: receiver.URL, Secret: "0123456789abcdef"},
	})
	require.NoError(t, err)
	require.Equal(t, "0123456789abcdef", changed.Secret)
	shown, err := w.service.Get(t.Context(), w.team, made.ID)
	require.NoError(t, err)
	require.Empty(t, shown.Secret)
}

func TestChannels_AreTheirTeamsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	made := w.create(t, channels.Email, channels.Config{To: []string{"a@example.com"}}, "key.*")
	other := uuid.New()
	for name, try := range map[string]func() error{
		"get":    func() error { _, err := w.service.Get(t.Context(), other, made.ID); return err },
		"update": func() error { _, err := w.service.Update(t.Context(), other, made.ID, channels.Change{}); return err },
		"delete": func() error { return w.service.Delete(t.Context(), other, made.ID) },
		"test":   func() error { _, err := w.service.Test(t.Context(), other, made.ID); return err },
		"deliveries": func() error {
			_, err := w.service.Deliveries(t.Context(), other, made.ID, channels.DeliveryPage{Limit: 1})
			return err
		},
	} {
		require.True(t, fault.Is(try(), fault.NotFound), name)
	}
	listed, err := w.service.List(t.Context(), other)
	require.NoError(t, err)
	require.Empty(t, listed)
	require.NoError(t, w.service.Delete(t.Context(), w.team, made.ID))
}

func TestConfigs_AreSealedAtRestAndSealedAgainWithANewKey(t *testing.T) {
	t.Parallel()
	w, receiver := newWorld(t, options{allowed: []netip.Prefix{loopback}}), startReceiver(t)
	made := w.create(t, channels.Webhook, channels.Config{URL: receiver.URL + "/hook"}, "key.*")
	var stored string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT encode(sealed_config, 'escape') FROM channels`).Scan(&stored))
	require.NotContains(t, stored, made.Secret)
	require.NotContains(t, stored, "/hook")

	oldKey, key := newKey(), newKey()
	old, err := seal.NewKeyring(oldKey)
	require.NoError(t, err)
	w.service.UseKeyring(old)
	made = w.create(t, channels.Webhook, channels.Config{URL: receiver.URL}, "key.*")
	var sealed []byte
	require.NoError(t, w.pool.QueryRow(t.Context(), `DELETE FROM channels WHERE id <> $1 RETURNING sealed_config`, made.ID).Scan(&sealed))
	both, err := seal.NewKeyring(key, oldKey)
	require.NoError(t, err)
	rotated, err := both.Rotate(t.Context(), channels.NewSealedConfigs(w.pool))
	require.NoError(t, err)
	require.Equal(t, 1, rotated)
	onlyNew, err := seal.NewKeyring(key)
	require.NoError(t, err)
	w.service.UseKeyring(onlyNew)
	_, err = w.service.Update(t.Context(), w.team, made.ID, channels.Change{Config: &channels.Config{URL: receiver.URL + "/new"}})
	require.NoError(t, err, "the secret must be readable with the new key alone")
}
