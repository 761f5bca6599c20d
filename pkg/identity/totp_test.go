package identity

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The times and codes of RFC 6238's appendix B, without their first two digits.
func TestTOTPCode_IsTheStandards(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for seconds, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		require.Equal(t, code, totpCode(secret, seconds/30))
	}
}

func TestMatchTOTP_ForgivesAClockThatIsOneStepOff(t *testing.T) {
	t.Parallel()
	secret := newTOTPSecret()
	now := time.Unix(3000, 0) // step 100
	for step, right := range map[int64]bool{98: false, 99: true, 100: true, 101: true, 102: false} {
		matched, ok := matchTOTP(secret, totpCode(secret, step), now)
		require.Equal(t, right, ok, "%d", step)
		if right {
			require.Equal(t, step, matched)
		}
	}
	for _, wrong := range []string{"", "12345", "1234567", totpCode(secret, 100) + "0"} {
		_, ok := matchTOTP(secret, wrong, now)
		require.False(t, ok, wrong)
	}
}

func TestRecoveryCodes_AreReadableAndForgiving(t *testing.T) {
	t.Parallel()
	code := newRecoveryCode()
	require.Regexp(t, `^([a-z2-7]{4}-){3}[a-z2-7]{4}$`, code)
	require.NotEqual(t, code, newRecoveryCode())
	want := hex.EncodeToString(hashRecoveryCode(code))
	for _, written := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " - ")} {
		require.Equal(t, want, hex.EncodeToString(hashRecoveryCode(written)), written)
	}
	require.NotPanics(t, func() { hashRecoveryCode(strings.Repeat("x", 1000)) })
}
