package identity

import (
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"
	"github.com/stretchr/testify/require"
)

// The times and codes of RFC 6238's appendix B, without their first two digits.
func TestMatchTOTP_TakesTheStandardsCodes(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for seconds, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok := matchTOTP(secret, code, time.Unix(seconds, 0))
		require.True(t, ok, code)
		require.Equal(t, seconds/30, step)
	}
}

func TestMatchTOTP_TakesCodesOfAClockThatIsOneStepOff(t *testing.T) {
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

// totpCode is the code of a time step.
func totpCode(secret []byte, step int64) string {
	code, err := hotp.GenerateCodeCustom(base32Text.EncodeToString(secret), uint64(step), totpOptions)
	if err != nil {
		panic(err)
	}
	return code
}

func TestTOTPKey_IsReadByAuthenticatorApps(t *testing.T) {
	t.Parallel()
	key, err := totpKey([]byte("12345678901234567890"), "ada@example.com")
	require.NoError(t, err)
	require.Equal(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", key.Secret)
	address, err := url.Parse(key.URL)
	require.NoError(t, err)
	require.Equal(t, "otpauth://totp/Wrenn:ada@example.com", strings.SplitN(key.URL, "?", 2)[0])
	require.Equal(t, url.Values{"secret": {key.Secret}, "issuer": {"Wrenn"}, "period": {"30"}, "digits": {"6"}, "algorithm": {"SHA1"}}, address.Query())
}

func TestRecoveryCodes_IgnoreCaseSpacesAndHyphens(t *testing.T) {
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
