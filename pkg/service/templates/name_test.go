package templates

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestParseTemplateName_TakesWhatClientsNameTemplatesBy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Name{
		"base":            {name: "base", tag: "default"},
		"base:v1.2":       {name: "base", tag: "v1.2", tagged: true},
		"acme/base":       {team: "acme", name: "base", tag: "default"},
		"acme/base:_dev":  {},
		"acme/base:dev_1": {team: "acme", name: "base", tag: "dev_1", tagged: true},
		"":                {}, "/base": {}, "acme/": {}, "a/b/c": {}, "base:": {}, ":v1": {}, "base:a:b": {}, "base:a/b": {},
		"../base": {}, "ba se": {}, strings.Repeat("a", 129): {},
	} {
		got, err := ParseName("target", text)
		require.Equal(t, want, got, text)
		if want == (Name{}) {
			require.True(t, fault.Is(err, fault.Invalid), text)
			require.ErrorContains(t, err, "target", text)
		} else {
			require.NoError(t, err, text)
		}
	}
}
