package workload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func tokenFor(audience string) workload.Token {
	return workload.Token{Audience: audience, TokenType: workload.TypeJWTSVID}
}

func TestTokens_AreBoundedAndCanBeReferredTo(t *testing.T) {
	t.Parallel()
	many := workload.Tokens{}
	for i := range workload.MaxTokens {
		many[fmt.Sprint(i)] = tokenFor("x")
	}
	require.NoError(t, many.Validate())
	require.NoError(t, workload.Tokens(nil).Validate())
	require.NoError(t, workload.Tokens{"A b/é": tokenFor(strings.Repeat("a", 512))}.Validate())
	many["one more"] = tokenFor("x")
	for name, refused := range map[string]struct {
		tokens workload.Tokens
		want   error
	}{
		"too many":             {many, workload.ErrTooMany},
		"no name":              {workload.Tokens{"": tokenFor("x")}, workload.ErrName},
		"a brace":              {workload.Tokens{"a}b": tokenFor("x")}, workload.ErrName},
		"a control character":  {workload.Tokens{"a\u0085": tokenFor("x")}, workload.ErrName},
		"a long name":          {workload.Tokens{strings.Repeat("n", 129): tokenFor("x")}, workload.ErrName},
		"no audience":          {workload.Tokens{"a": tokenFor("")}, workload.ErrNoAudience},
		"a long audience":      {workload.Tokens{"a": tokenFor(strings.Repeat("a", 513))}, workload.ErrNoAudience},
		"an audience of lines": {workload.Tokens{"a": tokenFor("a\nb")}, workload.ErrNoAudience},
		"no type":              {workload.Tokens{"a": {Audience: "x"}}, workload.ErrTokenType},
		"another type":         {workload.Tokens{"a": {Audience: "x", TokenType: "jwt-svid"}}, workload.ErrTokenType},
	} {
		require.ErrorIs(t, refused.tokens.Validate(), refused.want, name)
	}
}
