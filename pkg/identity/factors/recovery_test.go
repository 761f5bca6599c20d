package factors

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecoveryCodes_IgnoreCaseSpacesAndHyphens(t *testing.T) {
	t.Parallel()
	code := NewRecoveryCode()
	require.Regexp(t, `^([a-z2-7]{4}-){3}[a-z2-7]{4}$`, code)
	require.NotEqual(t, code, NewRecoveryCode())
	want := hex.EncodeToString(HashRecoveryCode(code))
	for _, written := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " - ")} {
		require.Equal(t, want, hex.EncodeToString(HashRecoveryCode(written)), written)
	}
	require.NotPanics(t, func() { HashRecoveryCode(strings.Repeat("x", 1000)) })
}
