package contexts

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSnippets_SetAnyValue runs what each language runs.
func TestSnippets_SetAnyValue(t *testing.T) {
	t.Parallel()
	value := "a'b\"c\\d$HOME `e`\nnew line\té😀 </script>"
	programs := map[string]struct{ run, show []string }{
		"bash":       {[]string{"bash", "-c"}, []string{"\nprintf %s \"$V1\"", "\nprintf %s \"${V1-none}\""}},
		"python":     {[]string{"python3", "-c"}, []string{"\nprint(__import__('os').environ['V1'], end='')", "\nprint(__import__('os').environ.get('V1', 'none'), end='')"}},
		"javascript": {[]string{"node", "-e"}, []string{"\nprocess.stdout.write(process.env.V1)", "\nprocess.stdout.write(process.env.V1 ?? 'none')"}},
	}
	for language, program := range programs {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			run := func(code string) string {
				t.Helper()
				output, err := exec.CommandContext(t.Context(), program.run[0], program.run[1], code).CombinedOutput()
				require.NoError(t, err, "%s: %s", code, output)
				return string(output)
			}
			of := environments[language]
			set := of.change(map[string]string{"V1": value}, nil)
			require.Equal(t, value, run(set+program.show[0]))
			require.Equal(t, "none", run(set+"\n"+of.change(nil, []string{"V1"})+program.show[1]))
		})
	}
}

func TestCheckVariables_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	require.NoError(t, CheckVariables(map[string]string{"A_1": "x\ny"}))
	for _, name := range []string{"", "1A", "A B", "A=B", "A;rm", "é"} {
		require.ErrorContains(t, CheckVariables(map[string]string{name: "x"}), "env_vars", name)
	}
	require.ErrorContains(t, CheckVariables(map[string]string{"A": "\x00"}), "env_vars")
}
