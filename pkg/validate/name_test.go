package validate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

func TestEmail_IsOneAddressInOneForm(t *testing.T) {
	t.Parallel()
	got, err := validate.Email("email", " Ada@Example.COM ")
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", got)
	for _, wrong := range []string{"", "ada", "@example.com", "ada@", "Ada <ada@example.com>", "a@b, c@d", "a b@example.com", "a@b\r\nBcc: c@d", "a\x00@b.c", strings.Repeat("a", 251) + "@b.c"} {
		_, err := validate.Email("email", wrong)
		require.True(t, fault.Is(err, fault.Invalid), "%q", wrong)
	}
}
