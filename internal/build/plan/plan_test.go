package plan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/internal/image"
)

func index(number int) *int { return &number }

// request is one that Check accepts.
func request(stages ...Stage) Request {
	return Request{BuildID: "b", TeamID: "t", Stages: stages, VCPUCount: 1, MemoryMiB: 512, DiskMiB: 1024}
}

func step(do Instruction) Step { return Step{Name: "1", Do: do} }

func stage(steps ...Step) Stage { return Stage{Base: Base{BuildID: "base"}, Steps: steps} }

func TestCheck_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 64)
	require.NoError(t, request(stage(step(Copy{FilesHash: hash, Sources: []string{"."}, Destination: "/"}))).Check())
	for message, broken := range map[string]Request{
		"no base":                          request(Stage{}),
		"not an earlier one":               request(Stage{Base: Base{Stage: index(0)}}),
		"files are of stage 0":             request(stage(step(Copy{FromStage: index(0), Sources: []string{"a"}, Destination: "b"}))),
		"does not have 64":                 request(stage(step(Copy{FilesHash: "../" + hash, Sources: []string{"a"}, Destination: "b"}))),
		"exactly one upload":               request(stage(step(Copy{Sources: []string{"a"}, Destination: "b"}))),
		"not a pattern":                    request(stage(step(Copy{FilesHash: hash, Sources: []string{"[a"}, Destination: "b"}))),
		"not octal":                        request(stage(step(Copy{FilesHash: hash, Sources: []string{"a"}, Destination: "b", Mode: "rwx"}))),
		"not both":                         request(stage(step(Run{}))),
		"NUL":                              request(stage(step(Run{Command: "a\x00b"}))),
		`secret "key" is required`:         request(stage(step(Run{Command: "a", Secrets: []SecretMount{{ID: "key", Required: true}}}))),
		"an ID has letters":                request(stage(step(Run{Command: "a", Secrets: []SecretMount{{ID: "../key"}}}))),
		"not the name of a variable":       request(stage(step(Run{Command: "a", Secrets: []SecretMount{{ID: "key", Variable: "A=B"}}}))),
		"cannot be set":                    request(stage(step(Env{Variables: []Variable{{Name: "A=B"}}}))),
		"the shell is empty":               request(stage(step(Shell{}))),
		`not a directory`:                  request(stage(step(Workdir{}))),
		"no name or no instruction":        request(stage(Step{Name: "1"})),
		"is not sha256:":                   request(stage(step(AddURL{URL: "http://a/b", Destination: "c", Checksum: "md5:1"}))),
		"between 1 and 100 are possible":   request(),
		"at least 1, 128 and 64 are neede": {TeamID: "t", Stages: []Stage{stage()}},
	} {
		err := broken.Check()
		require.ErrorIs(t, err, ErrInvalid, message)
		require.ErrorContains(t, err, message)
	}
}

func TestNeeded_LeavesOutStagesThatTheLastDoesNotUse(t *testing.T) {
	t.Parallel()
	r := request(
		stage(),
		stage(),
		Stage{Base: Base{Stage: index(0)}},
		stage(step(Copy{FromStage: index(2), Sources: []string{"a"}, Destination: "b"})),
		stage(),
		Stage{Base: Base{Stage: index(3)}},
	)
	require.Equal(t, []bool{true, false, true, true, false, true}, r.Needed())
}

func TestContext_AppliesWhatNeedsNoGuest(t *testing.T) {
	t.Parallel()
	before := NewContext("user", "/home/user")
	c, ok := before.Apply(Env{Variables: []Variable{{"A", "1"}, {"B", "$A."}, {"PATH", "/x:$PATH"}}})
	require.True(t, ok)
	require.Equal(t, map[string]string{"A": "1", "B": ".", "PATH": "/x:" + defaultPath}, c.Env, "values see the variables from before")
	require.Nil(t, before.Env, "a context is not changed")
	c, _ = c.Apply(Arg{Variables: []Variable{{"A", "argument"}, {"C", "$A $HOME"}}})
	require.Equal(t, "1 /home/user", c.Variables()["C"])
	require.Equal(t, "1", c.Variables()["A"], "a variable hides an argument")
	require.Empty(t, c.ForStage().Args)
	c, _ = c.Apply(ImageConfig{Entrypoint: &[]string{"a"}, Command: &[]string{"b"}})
	c, _ = c.Apply(ImageConfig{Entrypoint: &[]string{"c"}})
	require.Equal(t, []string{"c"}, c.Entrypoint)
	require.Empty(t, c.Command, "it was for the old entrypoint")
	_, ok = c.Apply(Run{Command: "true"})
	require.False(t, ok)
}

func TestResolve_KeepsTheSlashThatMakesADirectory(t *testing.T) {
	t.Parallel()
	c := Context{Workdir: "/srv/app"}
	for name, want := range map[string]string{
		"a": "/srv/app/a", "a/": "/srv/app/a/", ".": "/srv/app/", "./": "/srv/app/", "/": "/", "/x/../y": "/y", "../../..": "/", "/a//b/": "/a/b/",
	} {
		require.Equal(t, want, c.Resolve(name), name)
	}
}

func TestStepKey_DependsOnEverythingThatTheResultDependsOn(t *testing.T) {
	t.Parallel()
	base := Context{User: "user", Workdir: "/"}
	other := base
	other.Env = map[string]string{"A": "1"}
	all := []Key{
		StepKey("layer", base, Run{Command: "a"}, ""),
		StepKey("other", base, Run{Command: "a"}, ""),
		StepKey("layer", other, Run{Command: "a"}, ""),
		StepKey("layer", base, Run{Command: "b"}, ""),
		StepKey("layer", base, Run{Exec: []string{"a"}}, ""),
		StepKey("layer", base, Run{Command: "a"}, "content"),
		StepKey("layer", base, Workdir{Path: "a"}, ""),
		StepKey("layer", base, User{Name: "a"}, ""),
	}
	seen := make(map[Key]bool)
	for _, key := range all {
		require.False(t, seen[key])
		seen[key] = true
	}
	require.Equal(t, all[0], StepKey("layer", base, Run{Command: "a"}, ""))
	credentials := Copy{FromImage: &Image{Reference: "r", Credentials: image.Basic{Username: "u", Password: "secret"}}, Sources: []string{"a"}, Destination: "b"}
	without := Copy{FromImage: &Image{Reference: "r"}, Sources: []string{"a"}, Destination: "b"}
	require.Equal(t, StepKey("l", base, without, ""), StepKey("l", base, credentials, ""), "credentials are no part of a result")
}

func TestStepKey_IsTheSameHoweverVariablesWereSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOfN(rapid.StringMatching(`[A-Z]{1,4}`), rapid.String(), 0, 5).Draw(t, "values")
		var a, b Context
		for name, value := range values {
			a, _ = a.Apply(Env{Variables: []Variable{{name, strings.ReplaceAll(value, "$", `\$`)}}})
		}
		for name, value := range values {
			b, _ = b.Apply(Env{Variables: []Variable{{name, strings.ReplaceAll(value, "$", `\$`)}}})
		}
		require.Equal(t, StepKey("l", a, Run{Command: "x"}, ""), StepKey("l", b, Run{Command: "x"}, ""))
	})
}
