package service

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestParseTemplateName_TakesWhatClientsNameTemplatesBy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]templateName{
		"base":            {"", "base", "default"},
		"base:v1.2":       {"", "base", "v1.2"},
		"acme/base":       {"acme", "base", "default"},
		"acme/base:_dev":  {},
		"acme/base:dev_1": {"acme", "base", "dev_1"},
		"":                {}, "/base": {}, "acme/": {}, "a/b/c": {}, "base:": {}, ":v1": {}, "base:a:b": {}, "base:a/b": {},
		"../base": {}, "ba se": {}, strings.Repeat("a", 129): {},
	} {
		got, err := parseTemplateName("target", text)
		require.Equal(t, want, got, text)
		if want == (templateName{}) {
			require.True(t, fault.Is(err, fault.Invalid), text)
			require.ErrorContains(t, err, "target", text)
		} else {
			require.NoError(t, err, text)
		}
	}
}
