package id

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSandbox_TakesOneLabel(t *testing.T) {
	for _, text := range []string{"i2k7xqz", "a", "a-1", strings.Repeat("x", 63)} {
		parsed, err := ParseSandbox(text)
		require.NoError(t, err)
		require.Equal(t, Sandbox(text), parsed)
	}
	for _, text := range []string{"", "-a", "a-", "a.b", "A", "a b", "a\n", strings.Repeat("x", 64)} {
		_, err := ParseSandbox(text)
		require.ErrorIs(t, err, ErrMalformed, "%q", text)
	}
}

func TestParseTemplate_TakesIDsAndAliases(t *testing.T) {
	for _, text := range []string{"base", "t2k7xqz", "Code.interpreter_v1", "6f0d5c9e-3c0e-4b7a-9a51-0d1b6c8f2a77"} {
		parsed, err := ParseTemplate(text)
		require.NoError(t, err)
		require.Equal(t, Template(text), parsed)
	}
	for _, text := range []string{"", ".", "-a", "a b", "a/b", "a\n", strings.Repeat("x", 129)} {
		_, err := ParseTemplate(text)
		require.ErrorIs(t, err, ErrMalformed, "%q", text)
	}
}

func TestParseProcess_TakesNumbersAboveZero(t *testing.T) {
	for text, want := range map[string]Process{"1": 1, "4194304": 4194304} {
		parsed, err := ParseProcess(text)
		require.NoError(t, err)
		require.Equal(t, want, parsed)
	}
	for _, text := range []string{"", "0", "-1", "self", "1.5", "1\n", "99999999999"} {
		_, err := ParseProcess(text)
		require.ErrorIs(t, err, ErrMalformed, "%q", text)
	}
}
