package provider

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

// A provider's document must not lead the control plane to this machine's ports.
func TestOIDC_FollowsAProvidersDocumentToPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(inside.Close)
	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": provider.URL, "authorization_endpoint": provider.URL + "/authorize",
			"token_endpoint": inside.URL + "/token", "jwks_uri": inside.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	}))
	t.Cleanup(provider.Close)
	oidc := NewOIDC(OIDCConfig{Issuer: provider.URL, ClientID: "client"})
	_, err := oidc.Begin(t.Context(), identity.Attempt{})
	require.NoError(t, err, "the issuer itself may be anywhere")
	_, err = oidc.Finish(t.Context(), identity.Attempt{}, httptest.NewRequest(http.MethodGet, "/callback?code=code", nil))
	require.ErrorIs(t, err, internet.ErrForbiddenAddress)
	require.Empty(t, asked)
}
