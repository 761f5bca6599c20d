package sandbox

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func TestTokens_NameTheSandboxThatAsksAndOutliveTheAgent(t *testing.T) {
	directory := t.TempDir()
	require.NoError(t, record{State: Running, Workload: workload.Identity{TeamID: "team", TemplateID: "template", Tokens: workload.Tokens{
		"aws": {Audience: "sts.amazonaws.com", TokenType: workload.TypeJWTSVID},
	}}}.save(directory))
	kept, err := loadRecord(directory)
	require.NoError(t, err)
	signer := new(workload.Signer)
	s := &sandbox{id: "i0000000000000000001", record: kept, signer: signer}
	mint := s.tokens()
	_, err = mint("aws")
	require.ErrorIs(t, err, workload.ErrNoKey)
	key, err := workload.NewKey("https://wrenn.example.org", time.Now().Add(time.Hour))
	require.NoError(t, err)
	signer.Set(key)
	token, err := mint("aws")
	require.NoError(t, err, "a key that comes later is used")
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	var claims jwt.Claims
	require.NoError(t, parsed.UnsafeClaimsWithoutVerification(&claims))
	require.Equal(t, "spiffe://wrenn.example.org/team/team/sandbox/"+s.id, claims.Subject)
	_, err = mint("gcp")
	require.ErrorIs(t, err, workload.ErrNoToken)
}
