package id_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

func TestNewSandbox_IsAlwaysOneOfItsKindAndNeverTheSame(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	letters := map[rune]bool{}
	for range 1000 {
		made := id.NewSandbox()
		require.True(t, id.IsSandbox(made), made)
		require.False(t, seen[made])
		seen[made] = true
		for _, letter := range made {
			letters[letter] = true
		}
	}
	require.Len(t, letters, 36, "every character of the alphabet comes up")
	require.True(t, id.IsTemplate(id.NewTemplate()))
}

func TestIsSandbox_RefusesOtherForms(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "i", "i0123456789abcdefgh", "i0123456789abcdefghij", "x0123456789abcdefghi", "I0123456789ABCDEFGHI", "i0123456789abcdefgh-", "i0123456789abcdefghi\n"} {
		require.False(t, id.IsSandbox(text), "%q", text)
	}
}

func TestIsTemplate_TakesIDsAndAliases(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"base", "my-template_2", "v1.0", "A"} {
		require.True(t, id.IsTemplate(text), "%q", text)
	}
	for _, text := range []string{"", "../x", "a/b", "a b", "-a", strings.Repeat("a", 129), "a\x00"} {
		require.False(t, id.IsTemplate(text), "%q", text)
	}
}

func TestReadSandbox_TakesWhatOlderClientsWrite(t *testing.T) {
	t.Parallel()
	const plain = "i0123456789abcdefghi"
	for _, text := range []string{plain, "I0123456789ABCDEFGHI", plain + "-wrenn", plain + "-6532622b", plain + "-WRENN"} {
		got, ok := id.ReadSandbox(text)
		require.True(t, ok, text)
		require.Equal(t, plain, got)
	}
	for _, text := range []string{"", plain + "-", plain + "-a-b", plain + "-a/b", "-" + plain, plain + "x", plain + "-" + strings.Repeat("a", 33), plain + "-a\n"} {
		_, ok := id.ReadSandbox(text)
		require.False(t, ok, "%q", text)
	}
}
