package build_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

var hash = strings.Repeat("0f", 32)

func TestDefinition_IsWhatTheClientsStepsMean(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		step build.Instruction
		want build.Step
	}{
		"a command":      {build.Instruction{Type: "run", Args: []string{"make", "root"}}, build.Step{Text: "RUN make root", Run: &build.Run{Command: "make", User: "root"}}},
		"a copy":         {build.Instruction{Type: "COPY", Args: []string{"a", "b", "u:g", "0644"}, FilesHash: hash}, build.Step{Text: "COPY a b u:g 0644", Copy: &build.Copy{FilesHash: hash, Sources: []string{"a"}, Destination: "b", Owner: "u:g", Mode: "0644"}}},
		"an archive":     {build.Instruction{Type: "ADD", Args: []string{"a.tar", "/b"}, FilesHash: hash}, build.Step{Text: "ADD a.tar /b", Copy: &build.Copy{FilesHash: hash, Sources: []string{"a.tar"}, Destination: "/b", Extract: true}}},
		"a download":     {build.Instruction{Type: "ADD", Args: []string{"https://example.com/x", "/b", "", ""}}, build.Step{Text: "ADD https://example.com/x /b", AddURL: &build.AddURL{URL: "https://example.com/x", Destination: "/b"}}},
		"variables":      {build.Instruction{Type: "ENV", Args: []string{"A", "1", "B", ""}}, build.Step{Text: "ENV A 1 B", Env: []build.Variable{{Name: "A", Value: "1"}, {Name: "B"}}}},
		"an argument":    {build.Instruction{Type: "ARG", Args: []string{"A", "1"}}, build.Step{Text: "ARG A 1", Arg: []build.Variable{{Name: "A", Value: "1"}}}},
		"a directory":    {build.Instruction{Type: "WORKDIR", Args: []string{"/x"}}, build.Step{Text: "WORKDIR /x", Workdir: "/x"}},
		"a user":         {build.Instruction{Type: "USER", Args: []string{"me", "true"}}, build.Step{Text: "USER me true", User: &build.User{Name: "me", Sudo: true}}},
		"a forced thing": {build.Instruction{Type: "RUN", Args: []string{"x"}, Force: true}, build.Step{Text: "RUN x", Force: true, Run: &build.Run{Command: "x"}}},
	} {
		definition, confidential, err := build.Order{FromTemplate: "base", Steps: []build.Instruction{test.step}}.Definition()
		require.NoError(t, err, name)
		test.want.Name = "1"
		require.Equal(t, []build.Step{test.want}, definition.Stages[0].Steps, name)
		require.True(t, confidential.IsEmpty())
		stored, err := json.Marshal(definition)
		require.NoError(t, err)
		var read build.Definition
		require.NoError(t, json.Unmarshal(stored, &read))
		require.Equal(t, definition, read, "%s: it outlives being stored", name)
	}
}

func TestDefinition_KeepsCredentialsApart(t *testing.T) {
	t.Parallel()
	basic := &build.Credentials{Basic: &build.BasicCredentials{Username: "u", Password: "a password"}}
	definition, confidential, err := build.Order{FromImage: "registry.example.com/a@sha256:" + hash, Registry: basic, StartCommand: "x"}.Definition()
	require.NoError(t, err)
	stored, err := json.Marshal(definition)
	require.NoError(t, err)
	require.NotContains(t, string(stored), "password")
	require.Equal(t, *basic, confidential.Registries[definition.Stages[0].Base.Image])
	require.Equal(t, "sleep 20", definition.ReadyCommand)
}

func TestDefinition_BeginsWithTheInstallationsBaseForE2Bs(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"e2bdev/base", "e2bdev/base:latest", "docker.io/e2bdev/base"} {
		definition, _, err := build.Order{FromImage: image}.Definition()
		require.NoError(t, err)
		require.Equal(t, build.Base{Template: "base"}, definition.Stages[0].Base)
	}
	definition, _, err := build.Order{FromImage: "e2bdev/base:1"}.Definition()
	require.NoError(t, err)
	require.Equal(t, build.Base{Image: "e2bdev/base:1"}, definition.Stages[0].Base)
}

func TestDefinition_RefusesWhatNoHostWouldTake(t *testing.T) {
	t.Parallel()
	steps := func(typed string, args ...string) build.Order {
		return build.Order{FromTemplate: "base", Steps: []build.Instruction{{Type: typed, Args: args, FilesHash: hash}}}
	}
	for name, order := range map[string]build.Order{
		"nothing to begin with": {}, "two things": {FromImage: "a", FromTemplate: "b"}, "a bad reference": {FromImage: "a b"},
		"a long reference": {FromImage: strings.Repeat("a", 513)}, "a long command": {FromImage: "a", StartCommand: strings.Repeat("x", 1<<17)},
		"credentials for a template": {FromTemplate: "a", Registry: &build.Credentials{}},
		"many steps":                 {FromTemplate: "a", Steps: make([]build.Instruction, 1001)},
		"an unknown type":            steps("ONBUILD", "x"), "no command": steps("RUN"), "three arguments": steps("RUN", "a", "b", "c"), "a bad user": steps("RUN", "a", "b c"),
		"a path outside": steps("COPY", "a/../../b", "/x"), "an absolute path": steps("COPY", "/etc", "/x"), "a bad mode": steps("COPY", "a", "b", "", "9"),
		"no destination": steps("COPY", "a"), "a bad owner": steps("COPY", "a", "b", "$(id)"), "half a pair": steps("ENV", "A"), "a bad name": steps("ENV", "1A", "x"),
		"no directory": steps("WORKDIR"), "no user": steps("USER"), "a huge step": steps("RUN", strings.Repeat("x", 1<<19)),
	} {
		_, _, err := order.Definition()
		require.True(t, fault.Is(err, fault.Invalid), "%s: %v", name, err)
	}
}
