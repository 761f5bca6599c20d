package placeholder_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

func TestFind_FindsEachNameOnce(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 128)
	for text, want := range map[string]placeholder.Names{
		"":                          {},
		"plain":                     {},
		"Bearer ${e2b.secrets.key}": {Secrets: []string{"key"}},
		"${e2b.secrets.B-2}:${e2b.secrets.a_1}:${e2b.secrets.b-2}":                                               {Secrets: []string{"a_1", "b-2"}},
		"${e2b.secrets." + long + "}":                                                                            {Secrets: []string{long}},
		"$${e2b.secrets.sec_abc}} and ${other} and e2b.secrets.x and":                                            {Secrets: []string{"sec_abc"}},
		"Bearer ${e2b.identity.tokens.aws}":                                                                      {Tokens: []string{"aws"}},
		"${e2b.identity.tokens.B}${e2b.identity.tokens.a b/é.$}${e2b.identity.tokens.B}${e2b.identity.tokens.b}": {Tokens: []string{"B", "a b/é.$", "b"}},
		"${e2b.identity.tokens." + strings.Repeat("é", 128) + "}":                                                {Tokens: []string{strings.Repeat("é", 128)}},
		"${e2b.secrets.a}:${e2b.identity.tokens.a}":                                                              {Secrets: []string{"a"}, Tokens: []string{"a"}},
	} {
		names, err := placeholder.Find(text)
		require.NoError(t, err, text)
		require.Equal(t, want, names, text)
	}
	names, err := placeholder.Find("${e2b.secrets.b}", "${e2b.identity.tokens.t}", "${e2b.secrets.a}${e2b.secrets.b}")
	require.NoError(t, err)
	require.Equal(t, placeholder.Names{Secrets: []string{"a", "b"}, Tokens: []string{"t"}}, names)
}

func TestFind_RefusesWhatOnlyBeginsAPlaceholder(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"${e2b.secrets.", "${e2b.secrets.}", "${e2b.secrets.a b}", "${e2b.secrets.key", "${e2b.secrets.é}",
		"${e2b.secrets.${e2b.secrets.a}}", "${e2b.secrets.a} ${e2b.secrets.}", "${e2b.secrets." + strings.Repeat("n", 129) + "}",
		"${e2b.identity.", "${e2b.identity.tokens.", "${e2b.identity.tokens.}", "${e2b.identity.tokens.a", "${e2b.identity.token.a}",
		"${e2b.identity.tokens.a{b}", "${e2b.identity.tokens.a\u0085b}", "${e2b.identity.tokens.${e2b.secrets.a}}", "${e2b.secrets.${e2b.identity.tokens.a}}",
		"${e2b.identity.tokens." + strings.Repeat("n", 129) + "}",
	} {
		_, err := placeholder.Find(text)
		require.ErrorIs(t, err, placeholder.ErrMalformed, text)
	}
}

func TestIsTokenName_IsWhatAPlaceholderCanHold(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"aws": true, "A b/é:*.$": true, strings.Repeat("é", placeholder.MaxTokenName): true,
		"": false, "a{": false, "}": false, "a\nb": false, "a\x00": false, "\x7f": false, "\u009f": false,
		strings.Repeat("n", placeholder.MaxTokenName+1): false, "a\n": false,
	} {
		require.Equal(t, want, placeholder.IsTokenName(name), "%q", name)
	}
}

func TestFill_LooksIntoNoValue(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"a": "${e2b.secrets.b}${e2b.identity.tokens.B}", "b": "two"}
	missing := errors.New("no such token")
	values := placeholder.Values{
		Secret: func(name string) (string, bool) {
			value, found := secrets[name]
			return value, found
		},
		Token: func(name string) (string, error) {
			if name != "B" {
				return "", missing
			}
			return "${e2b.secrets.b}", nil
		},
	}
	filled, err := placeholder.Fill("x ${e2b.secrets.A}-${e2b.secrets.b}-${e2b.identity.tokens.B} y", values)
	require.NoError(t, err)
	require.Equal(t, "x ${e2b.secrets.b}${e2b.identity.tokens.B}-two-${e2b.secrets.b} y", filled)
	_, err = placeholder.Fill("${e2b.secrets.b}${e2b.secrets.c}", values)
	require.ErrorIs(t, err, placeholder.ErrUnknown)
	_, err = placeholder.Fill("${e2b.identity.tokens.b}", values)
	require.ErrorIs(t, err, missing, "names of tokens depend on case")
	for _, text := range []string{"${e2b.secrets.b}", "${e2b.identity.tokens.B}"} {
		_, err = placeholder.Fill(text, placeholder.Values{})
		require.ErrorIs(t, err, placeholder.ErrUnknown, text)
	}
}

func TestOnly_ShowsNothingButPlaceholders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "***",
		"plain":                              "***",
		placeholder.For("key"):               "${e2b.secrets.key}",
		placeholder.ForToken("aws"):          "${e2b.identity.tokens.aws}",
		"Bearer ${e2b.secrets.key}":          "***${e2b.secrets.key}",
		"Bearer ${e2b.identity.tokens.aws}":  "***${e2b.identity.tokens.aws}",
		"${e2b.secrets.a}:${e2b.secrets.b}!": "${e2b.secrets.a}***${e2b.secrets.b}***",
	} {
		require.Equal(t, want, placeholder.Only(text, "***"), text)
	}
}

func FuzzPlaceholders_AreFilledOnce(f *testing.F) {
	f.Add("Bearer ${e2b.secrets.key}")
	f.Add("${e2b.secrets.${e2b.secrets.a}}")
	f.Add("${e2b.identity.tokens.a}${e2b.secrets.a}")
	f.Add("${e2b.identity.tokens.${e2b.secrets.a}}")
	f.Fuzz(func(t *testing.T, text string) {
		names, err := placeholder.Find(text)
		if err != nil {
			return
		}
		secrets, tokens := map[string]bool{}, map[string]bool{}
		filled, err := placeholder.Fill(text, placeholder.Values{
			Secret: func(name string) (string, bool) {
				secrets[name] = true
				return "", true
			},
			Token: func(name string) (string, error) {
				require.True(t, placeholder.IsTokenName(name))
				tokens[name] = true
				return "", nil
			},
		})
		require.NoError(t, err)
		require.Len(t, secrets, len(names.Secrets))
		require.Len(t, tokens, len(names.Tokens))
		require.LessOrEqual(t, len(filled), len(text))
		shown, err := placeholder.Find(placeholder.Only(text, "***"))
		require.NoError(t, err)
		require.Equal(t, names, shown, "what is stored refers to the same")
	})
}
