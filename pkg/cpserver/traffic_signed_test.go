package cpserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// signedFor is the query of a URL that a sandbox's token has signed.
func signedFor(s sandbox, path, operation, username string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{path, operation, username, s.EnvdAccessToken}, ":")))
	return url.Values{
		"path": {path}, "username": {username}, "signature": {"v1_" + base64.RawStdEncoding.EncodeToString(sum[:])},
	}.Encode()
}

// What is taken out of a request must not change what was signed: with the first path
// gone, the guest would take a second one, or a form's own.
func TestTraffic_LetsASignatureOpenWhatWasSignedAlone(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base","network":{"allowPublicTraffic":false}}`)
	key := "/uploads/" + auth.NewKey()
	traffic := "/uploads/" + *s.TrafficAccessToken
	long := strings.Repeat("a-user", 3)
	for name, attack := range map[string]struct {
		path, user string
		header     [2]string
	}{
		"a path that looks like a key":            {key, "user", [2]string{"X-A", "x"}},
		"a path that holds the traffic token":     {traffic, "user", [2]string{"X-A", "x"}},
		"a path that a header repeats":            {"/uploads/mine.txt", "user", [2]string{"X-Api-Key", "/uploads/mine.txt"}},
		"a path that a cookie repeats":            {"/uploads/mine.txt", "user", [2]string{"Cookie", "wrenn_session=/uploads/mine.txt"}},
		"a user that a header repeats":            {"/uploads/mine.txt", long, [2]string{"X-Csrf-Token", long}},
		"all that a header repeats the beginning": {"/uploads/mine.txt", "user", [2]string{"X-Admin-Token", "/uploads/mine.tx"}},
	} {
		for method, operation := range map[string]string{http.MethodGet: "read", http.MethodPost: "write"} {
			query := signedFor(s, attack.path, operation, attack.user)
			header := with(at(s.SandboxID, agentPort), attack.header[0], attack.header[1])
			for _, more := range []string{"", "&path=/etc/shadow&username=root"} {
				got := p.send(t, method, "/files?"+query+more, "", header)
				require.Equal(t, http.StatusBadRequest, got.status, "%s, %s%s: %s", name, method, more, got.body)
			}
		}
	}
	got := p.send(t, http.MethodGet, "/files?"+signedFor(s, "/uploads/mine.txt", "read", "user"), "", at(s.SandboxID, agentPort))
	requireStatus(t, http.StatusOK, got)
	var seen echo
	got.decode(t, &seen)
	require.Equal(t, "/files?path=%2Fuploads%2Fmine.txt&username=user", seen.URI)
}
