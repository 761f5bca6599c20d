package cpserver_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

type secretKey struct {
	KeyID         string
	Newest, Known bool
	SealedCount   int
}

func (p *controlPlane) secretKeys(t *testing.T) []secretKey {
	t.Helper()
	got := p.send(t, http.MethodGet, "/admin/keys", "", http.Header{"X-Admin-Token": {adminToken}})
	requireStatus(t, http.StatusOK, got)
	var keys []secretKey
	got.decode(t, &keys)
	return keys
}

// rotateKeys makes a new secret key while the control plane runs, and waits until
// nothing is sealed with an older one.
func (p *controlPlane) rotateKeys(t *testing.T) {
	t.Helper()
	sealed := 0
	for _, key := range p.secretKeys(t) {
		sealed += key.SealedCount
	}
	newest, err := seal.RotateKeyFile(p.config.SecretKeyFile)
	require.NoError(t, err)
	eventually(t, "everything must be sealed with the newest key", func() bool {
		keys := p.secretKeys(t)
		return keys[0].KeyID == newest.String() && keys[0].Newest && keys[0].SealedCount == sealed
	})
}

// requireNewTokens holds that a sandbox that was paused, a volume and a secret from
// before a rotation are of use after it.
func (o tokens) requireNewTokens(t *testing.T) tokens {
	t.Helper()
	got := o.p.do(t, http.MethodPost, "/v2/sandboxes/"+o.sandbox.SandboxID+"/connect", "{}")
	requireStatus(t, http.StatusCreated, got)
	o.requireOpen(t, false, false)
	renewed := o.again(t)
	renewed.requireOpen(t, true, true)
	s := o.p.create(t, `{"templateID":"base","network":`+referringNetwork+`}`)
	require.Equal(t, map[string]string{"api-key": "one"}, o.p.agent.Secrets(s.SandboxID))
	return renewed
}

func TestKeys_RotationRevokesTokensAndLocksNothingOut(t *testing.T) {
	t.Parallel()
	p := setUp(t, echoGuest)
	p.hasAdmin(t)
	p.start(t)
	p.makeSecret(t, "api-key", "one")
	old := p.tokens(t)
	old.requireOpen(t, true, true)
	pause := func() {
		requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+old.sandbox.SandboxID+"/pause", ""))
	}
	pause()
	p.rotateKeys(t)
	require.Len(t, p.secretKeys(t), 2)
	old = old.requireNewTokens(t)
	pause()
	p.rotateKeys(t)
	old = old.requireNewTokens(t)
	pause()

	require.NoError(t, p.stop())
	keys, err := seal.ReadKeys(p.config.SecretKeyFile)
	require.NoError(t, err)
	require.Len(t, keys, 3)
	require.NoError(t, os.WriteFile(p.config.SecretKeyFile, keys[0], 0o600))
	p.start(t)
	require.Len(t, p.secretKeys(t), 1, "no older key is needed")
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/v2/sandboxes/"+old.sandbox.SandboxID+"/connect", "{}"))
	old.requireOpen(t, true, true)
}
