package h2c

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefuse_TakesOutTheOfferWhereverItStands(t *testing.T) {
	for offer, left := range map[string]string{"h2c": "", "H2C": "", "websocket, h2c": "", "websocket": "websocket"} {
		header := http.Header{"Upgrade": {offer}, "Connection": {"Upgrade"}, "Http2-Settings": {"AAMAAABk"}}
		Refuse(header)
		require.Equal(t, left, header.Get("Upgrade"), offer)
		require.Equal(t, left != "", header.Get("Connection") != "", offer)
		require.NotContains(t, header, "Http2-Settings")
	}
}
