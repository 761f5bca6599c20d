package placeholder_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

func TestNames_FindsEachSecretOnce(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 128)
	for text, want := range map[string][]string{
		"":                           nil,
		"plain":                      nil,
		"${e2b.identity.tokens.aws}": nil,
		"Bearer ${e2b.secrets.key}":  {"key"},
		"${e2b.secrets.B-2}:${e2b.secrets.a_1}:${e2b.secrets.b-2}":    {"a_1", "b-2"},
		"${e2b.secrets." + long + "}":                                 {long},
		"$${e2b.secrets.sec_abc}} and ${other} and e2b.secrets.x and": {"sec_abc"},
	} {
		names, err := placeholder.Names(text)
		require.NoError(t, err, text)
		require.Equal(t, want, names, text)
	}
}

func TestNames_RefusesWhatOnlyBeginsAPlaceholder(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"${e2b.secrets.", "${e2b.secrets.}", "${e2b.secrets.a b}", "${e2b.secrets.key", "${e2b.secrets.é}",
		"${e2b.secrets.${e2b.secrets.a}}", "${e2b.secrets.a} ${e2b.secrets.}", "${e2b.secrets." + strings.Repeat("n", 129) + "}",
	} {
		_, err := placeholder.Names(text)
		require.ErrorIs(t, err, placeholder.ErrMalformed, text)
	}
}

func TestFill_LooksIntoNoValue(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"a": "${e2b.secrets.b}", "b": "two"}
	lookup := func(name string) (string, bool) {
		value, found := secrets[name]
		return value, found
	}
	filled, err := placeholder.Fill("x ${e2b.secrets.A}-${e2b.secrets.b} y", lookup)
	require.NoError(t, err)
	require.Equal(t, "x ${e2b.secrets.b}-two y", filled)
	_, err = placeholder.Fill("${e2b.secrets.b}${e2b.secrets.c}", lookup)
	require.ErrorIs(t, err, placeholder.ErrUnknown)
}

func TestOnly_ShowsNothingButPlaceholders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "***",
		"plain":                              "***",
		placeholder.For("key"):               "${e2b.secrets.key}",
		"Bearer ${e2b.secrets.key}":          "***${e2b.secrets.key}",
		"${e2b.secrets.a}:${e2b.secrets.b}!": "${e2b.secrets.a}***${e2b.secrets.b}***",
	} {
		require.Equal(t, want, placeholder.Only(text, "***"), text)
	}
}

func FuzzPlaceholders_AreFilledOnce(f *testing.F) {
	f.Add("Bearer ${e2b.secrets.key}")
	f.Add("${e2b.secrets.${e2b.secrets.a}}")
	f.Fuzz(func(t *testing.T, text string) {
		names, err := placeholder.Names(text)
		if err != nil {
			return
		}
		asked := map[string]bool{}
		filled, err := placeholder.Fill(text, func(name string) (string, bool) {
			asked[name] = true
			return "", true
		})
		require.NoError(t, err)
		require.Len(t, asked, len(names))
		require.LessOrEqual(t, len(filled), len(text))
		shown, err := placeholder.Names(placeholder.Only(text, "***"))
		require.NoError(t, err)
		require.Equal(t, names, shown, "what is stored refers to the same secrets")
	})
}
