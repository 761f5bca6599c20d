package activity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestConfigOf_RefusesFieldsThatNoKindHas(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", "[]", `"x"`, `{"uri": "https://example.com"}`, `{"URL": "https://example.com"}`, `{"url": 5}`} {
		_, err := configOf(json.RawMessage(body))
		require.True(t, fault.Is(err, fault.Invalid), "%q: %v", body, err)
		require.ErrorContains(t, err, "config", body)
	}
	config, err := configOf(json.RawMessage(`{"token": "t", "roomID": "!a:b", "url": "https://example.com"}`))
	require.NoError(t, err)
	require.Equal(t, channels.Config{URL: "https://example.com", Token: "t", RoomID: "!a:b"}, config)
}

func TestNewChannelBody_IsEnabledWhereItDoesNotSay(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{`{"config": {}}`: false, `{"config": {}, "enabled": true}`: false, `{"config": {}, "enabled": false}`: true} {
		var decoded newChannelBody
		require.NoError(t, json.Unmarshal([]byte(body), &decoded))
		wanted, err := decoded.wanted()
		require.NoError(t, err)
		require.Equal(t, want, wanted.Disabled, body)
	}
}
