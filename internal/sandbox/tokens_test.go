package sandbox

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func TestTokens_NameTheSandboxThatAsksAndOutliveTheAgent(t *testing.T) {
	directory := record.Directory(t.TempDir())
	require.NoError(t, record.Record{State: state.Running, Workload: workload.Identity{TeamID: "team", TemplateID: "template", Tokens: workload.Tokens{
		"aws": {Audience: "sts.amazonaws.com", TokenType: workload.TypeJWTSVID},
	}}}.Save(directory))
	kept, err := record.Load(directory)
	require.NoError(t, err)
	op := &operation{sandbox: &sandbox{id: "i0000000000000000001", host: idle(), record: kept}}
	mint := op.tokens()
	_, err = mint("aws")
	require.ErrorIs(t, err, workload.ErrNoKey)
	key, err := workload.NewKey("https://wrenn.example.org", time.Now().Add(time.Hour))
	require.NoError(t, err)
	op.host.signer.Set(key)
	token, err := mint("aws")
	require.NoError(t, err, "a key that comes later is used")
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	var claims jwt.Claims
	require.NoError(t, parsed.UnsafeClaimsWithoutVerification(&claims))
	require.Equal(t, "spiffe://wrenn.example.org/team/team/sandbox/"+op.id, claims.Subject)
	_, err = mint("gcp")
	require.ErrorIs(t, err, workload.ErrNoToken)
}
