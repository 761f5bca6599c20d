package validate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

func TestMetadata_IsBoundedInAll(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("ä", validate.MaxMetadataBytes/4)
	require.NoError(t, validate.Metadata(map[string]string{half: half}))
	for _, tooLarge := range []map[string]string{{half: half + "a"}, {half: "", "k": half}, {"a": half, "b": half}} {
		err := validate.Metadata(tooLarge)
		require.True(t, fault.Is(err, fault.Invalid), "%v", err)
		require.ErrorContains(t, err, "8192")
	}
}
