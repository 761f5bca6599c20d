package factors

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"
	"github.com/stretchr/testify/require"
)

// The times and codes of RFC 6238's appendix B, without their first two digits.
func TestMatch_TakesTheStandardsCodes(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for seconds, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok := Match(secret, code, time.Unix(seconds, 0))
		require.True(t, ok, code)
		require.Equal(t, seconds/30, step)
	}
}

func TestMatch_TakesCodesOfAClockThatIsOneStepOff(t *testing.T) {
	t.Parallel()
	secret := NewSecret()
	now := time.Unix(3000, 0) // step 100
	for step, right := range map[int64]bool{98: false, 99: true, 100: true, 101: true, 102: false} {
		matched, ok := Match(secret, codeOf(secret, step), now)
		require.Equal(t, right, ok, "%d", step)
		if right {
			require.Equal(t, step, matched)
		}
	}
	for _, wrong := range []string{"", "12345", "1234567", codeOf(secret, 100) + "0"} {
		_, ok := Match(secret, wrong, now)
		require.False(t, ok, wrong)
	}
}

// codeOf is the code of a time step.
func codeOf(secret []byte, step int64) string {
	code, err := hotp.GenerateCodeCustom(base32Text.EncodeToString(secret), uint64(step), options)
	if err != nil {
		panic(err)
	}
	return code
}

func TestEnrol_IsReadByAuthenticatorApps(t *testing.T) {
	t.Parallel()
	key, err := Enrol([]byte("12345678901234567890"), "ada@example.com")
	require.NoError(t, err)
	require.Equal(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", key.Secret)
	address, err := url.Parse(key.URL)
	require.NoError(t, err)
	require.Equal(t, "otpauth://totp/Wrenn:ada@example.com", strings.SplitN(key.URL, "?", 2)[0])
	require.Equal(t, url.Values{"secret": {key.Secret}, "issuer": {"Wrenn"}, "period": {"30"}, "digits": {"6"}, "algorithm": {"SHA1"}}, address.Query())
}
