package image

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering is a transport that answers itself.
type answering func(request *http.Request) (status int, body string)

func (a answering) RoundTrip(request *http.Request) (*http.Response, error) {
	status, body := a(request)
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

func TestAWS_ExchangesKeysForAPassword(t *testing.T) {
	token := base64.StdEncoding.EncodeToString([]byte("AWS:the:password"))
	var asked *http.Request
	keys := AWS{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI", Region: "eu-central-1"}
	login, err := keys.authenticator(t.Context(), answering(func(request *http.Request) (int, string) {
		asked = request
		return http.StatusOK, fmt.Sprintf(`{"authorizationData":[{"authorizationToken":%q,"proxyEndpoint":"x"}]}`, token)
	}))
	require.NoError(t, err)
	config, err := login.Authorization()
	require.NoError(t, err)
	require.Equal(t, []string{"AWS", "the:password"}, []string{config.Username, config.Password})
	require.Equal(t, "https://api.ecr.eu-central-1.amazonaws.com/", asked.URL.String())
	require.Equal(t, "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", asked.Header.Get("X-Amz-Target"))
	require.Regexp(t, `^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-central-1/ecr/aws4_request, SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target, Signature=[0-9a-f]{64}$`,
		asked.Header.Get("Authorization"))
}

func TestAWS_SaysWhatIsWrong(t *testing.T) {
	for _, region := range []string{"", "example.com/", "eu-central-1.evil.com", "eu-central-1@evil", "EU-CENTRAL-1", "../x-1"} {
		_, err := AWS{Region: region}.authenticator(t.Context(), answering(func(*http.Request) (int, string) {
			t.Errorf("a request was sent for the region %q", region)
			return http.StatusOK, ""
		}))
		require.ErrorContains(t, err, "not a region's name")
	}
	for status, cause := range map[int]Cause{http.StatusBadRequest: Unauthorized, http.StatusForbidden: Unauthorized, http.StatusBadGateway: RegistryUnreachable} {
		_, err := AWS{AccessKeyID: "a", SecretAccessKey: "s", Region: "us-gov-west-1"}.authenticator(t.Context(),
			answering(func(*http.Request) (int, string) { return status, "secret details" }))
		var refused *Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, cause, refused.Cause)
		require.NotContains(t, refused.Message, "secret details")
	}
	for _, body := range []string{"", "{}", `{"authorizationData":[{"authorizationToken":"!"}]}`, `{"authorizationData":[{"authorizationToken":"bm9jb2xvbg=="}]}`} {
		_, err := AWS{Region: "us-east-1"}.authenticator(t.Context(), answering(func(*http.Request) (int, string) { return http.StatusOK, body }))
		require.Error(t, err, body)
	}
}
