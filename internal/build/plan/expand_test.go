package plan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func lookUpIn(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := variables[name]
		return value, set
	}
}

func TestExpand_FillsInVariablesAsDockerfilesDo(t *testing.T) {
	t.Parallel()
	known := lookUpIn(map[string]string{"A": "one", "B_2": "two", "EMPTY": ""})
	for text, want := range map[string]string{
		"":                     "",
		"plain":                "plain",
		"$A":                   "one",
		"${A}":                 "one",
		"$A$B_2":               "onetwo",
		"$A-$B_2.":             "one-two.",
		"${A}b":                "oneb",
		"$Ab":                  "",
		`\$A`:                  "$A",
		`\\$A`:                 `\$A`,
		`C:\dir`:               `C:\dir`,
		"$":                    "$",
		"$ A":                  "$ A",
		"$1":                   "$1",
		"a$":                   "a$",
		"${":                   "${",
		"${A":                  "${A",
		"${}":                  "${}",
		"${A!}":                "${A!}",
		"${MISSING}":           "",
		"${MISSING:-default}":  "default",
		"${MISSING-default}":   "default",
		"${EMPTY:-default}":    "default",
		"${EMPTY-default}":     "",
		"${A:-default}":        "one",
		"${A:+other}":          "other",
		"${MISSING:+other}":    "",
		"${EMPTY+other}":       "other",
		"${EMPTY:+other}":      "",
		"${MISSING:-${A}/$A}x": "one/onex",
		"${MISSING:-a:b-c}":    "a:b-c",
		"ü$A€":                 "üone€",
	} {
		require.Equal(t, want, Expand(text, known), "%q", text)
	}
}

func TestExpand_EndsForAnyTextAndKeepsWhatHasNoVariable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune(`$${}{}:-+\\ABab_1 é`))).Draw(t, "text")
		expanded := Expand(text, lookUpIn(map[string]string{"A": "$B", "B": "${A}"}))
		if !strings.ContainsRune(text, '$') {
			require.Equal(t, text, expanded)
		}
	})
}

func TestExpand_DoesNotExpandValuesAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value")
		require.Equal(t, value, Expand("${A}", lookUpIn(map[string]string{"A": value})))
	})
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"$A", "${A:-${B:+$C}}", `\$`, "${", strings.Repeat("${A:-", 20)} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) { Expand(text, lookUpIn(map[string]string{"A": "x"})) })
}
