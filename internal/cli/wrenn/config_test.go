package wrenn

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

var update = flag.Bool("update", false, "write the table of settings in the README")

// clearSettings unsets all settings for the rest of a test.
func clearSettings(t *testing.T) {
	t.Helper()
	for _, name := range append(settings.Known(), "DATABASE_URL", "E2B_API_URL", "E2B_API_KEY", "E2B_SANDBOX_URL") {
		t.Setenv(name, "")
	}
}

// shownConfig runs wrenn config --json and returns what it prints, by program and
// name.
func shownConfig(t *testing.T, arguments ...string) (shown map[string]map[string]settings.Value, stderr string, code int) {
	t.Helper()
	stdout, stderr, code := wrenn(t, append([]string{"config", "--json"}, arguments...)...)
	var list []shownSetting
	require.NoError(t, json.Unmarshal([]byte(stdout), &list), stderr)
	shown = map[string]map[string]settings.Value{}
	for _, setting := range list {
		if shown[setting.Program] == nil {
			shown[setting.Program] = map[string]settings.Value{}
		}
		shown[setting.Program][setting.Name] = setting.Value
	}
	return shown, stderr, code
}

func TestConfig_TellsWhereEachValueIsFrom(t *testing.T) {
	clearSettings(t)
	file := filepath.Join(t.TempDir(), "wrenn.env")
	require.NoError(t, os.WriteFile(file, []byte("WRENN_DRIVER=qemu\nWRENN_LOG_LEVEL=debug\n"), 0o600))
	t.Setenv("WRENN_LOG_LEVEL", "warn")
	t.Setenv("DATABASE_URL", "postgres://wrenn:hunter2@db/wrenn")
	shown, stderr, code := shownConfig(t, "--data-dir", "/data", "--env-file", file)
	require.Zero(t, code, stderr)
	require.Equal(t, []string{controlPlaneProgram, hostAgentProgram, upProgram}, slices.Sorted(maps.Keys(shown)))

	for name, test := range map[string]struct {
		program, setting string
		want             settings.Value
	}{
		"a flag":             {upProgram, "WRENN_DATA_DIR", settings.Value{Flag: "data-dir", Value: "/data", Default: "/var/lib/wrenn", Source: settings.SourceFlag}},
		"the environment":    {controlPlaneProgram, "WRENN_LOG_LEVEL", settings.Value{Value: "warn", Default: "info", Source: settings.SourceEnvironment}},
		"a file":             {hostAgentProgram, "WRENN_DRIVER", settings.Value{Flag: "driver", Value: "qemu", Default: "auto", Source: "file " + file}},
		"wrenn up":           {controlPlaneProgram, "WRENN_SECRET_KEY_FILE", settings.Value{Value: "/data/secrets/control-plane.key", Source: "wrenn up"}},
		"the default":        {controlPlaneProgram, "WRENN_MAX_TIMEOUT", settings.Value{Value: "24h", Default: "24h", Source: settings.SourceDefault}},
		"a computed default": {controlPlaneProgram, "WRENN_PUBLIC_URL", settings.Value{Value: "http://localhost:3000", Default: "http:// and WRENN_DOMAIN", Source: settings.SourceDefault}},
		"a hidden password":  {controlPlaneProgram, "DATABASE_URL", settings.Value{Value: "postgres://wrenn:xxxxx@db/wrenn", Source: "wrenn up"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := shown[test.program][test.setting]
			require.NotEmpty(t, got.Help)
			got.Name, got.Help = "", ""
			require.Equal(t, test.want, got)
		})
	}

	stdout, _, _ := wrenn(t, "config", "--env-file", file)
	require.Contains(t, stdout, "WRENN_LOG_LEVEL=warn  (environment; the default is info)\n    least level that is logged")
	require.NotContains(t, stdout, "hunter2")
}

func TestConfig_ShowsAProgramByItself(t *testing.T) {
	clearSettings(t)
	shown, stderr, code := shownConfig(t, hostAgentProgram)
	require.Zero(t, code, stderr)
	require.Equal(t, "true", shown[hostAgentProgram]["WRENN_KEEP_RUNNING"].Value)
	require.Len(t, shown, 1)

	_, stderr, code = shownConfig(t, controlPlaneProgram)
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "DATABASE_URL is not set WRENN_SECRET_KEY_FILE is not set")

	_, stderr, code = wrenn(t, "config", hostAgentProgram, "--data-dir", "/data")
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "--data-dir is a flag of wrenn up")
}

func TestUp_RefusesSettingsOfTheProgramsThatItStarts(t *testing.T) {
	clearSettings(t)
	t.Setenv("WRENN_MAX_TIMEOUT", "soon")
	t.Setenv("WRENN_MEMORY_OVERCOMMIT", "not a number")
	t.Setenv("WRENN_LOG_LEVEL", "loud")
	t.Setenv("WRENN_TEAM_MAX_VCPU", "3")
	t.Setenv("WRENN_PORT_3000_TCP", "tcp://10.0.0.1:3000")
	_, stderr, code := wrenn(t, "up", "--data-dir", t.TempDir())
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "warning: WRENN_PORT_3000_TCP is not a setting")
	require.Contains(t, stderr, "WRENN_MAX_TIMEOUT must be a positive duration, such as 24h "+
		"WRENN_LOG_LEVEL must be debug, info, warn or error "+
		"WRENN_MEMORY_OVERCOMMIT must be a number of at least 0 "+
		"WRENN_TEAM_MAX_VCPU is not a setting; WRENN_TEAM_MAX_VCPUS is\n")
}

func TestKnown_HasTheSettingsOfAllPrograms(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"WRENN_DETACHED": true}
	for _, into := range []any{&config.Config{}, &hostagent.Config{}, &hostagent.JoinOptions{}, &up.Config{}, &apiclient.Settings{}} {
		for _, name := range settings.New(into).Names() {
			if strings.HasPrefix(name, "WRENN_") {
				known[name] = true
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(known)), settings.Known())
}

func TestReadme_HasAllSettings(t *testing.T) {
	t.Parallel()
	const path = "../../../README.md"
	const begin, end = "<!-- settings: written by make generate -->\n", "<!-- end of settings -->\n"
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(readme), begin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found)
	want := before + begin + settingsTable() + end + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(readme), "run: make generate")
}

// settingsTable is all settings as Markdown, a table for each program.
func settingsTable() string {
	var table strings.Builder
	for _, program := range []struct {
		title string
		into  any
	}{
		{"The control plane", &config.Config{}},
		{"The host agent; its flags are those of `wrenn-host-agent`", &hostagent.Config{}},
		{"`wrenn up`, which passes its own on to both", &up.Config{}},
		{"Commands that call the API", &apiclient.Settings{}},
	} {
		fmt.Fprintf(&table, "\n%s:\n\n| variable | default | what it sets |\n|---|---|---|\n", program.title)
		for _, setting := range settings.New(program.into).Settings() {
			name := "`" + setting.Name + "`"
			if setting.Flag != "" {
				name += ", `--" + setting.Flag + "`"
			}
			byDefault := setting.Default
			switch {
			case setting.Required:
				byDefault = "must be set"
			case byDefault != "" && !setting.Derived:
				byDefault = "`" + byDefault + "`"
			}
			fmt.Fprintf(&table, "| %s | %s | %s |\n", name, byDefault, setting.Help)
		}
	}
	return table.String() + "\n"
}

func TestEachOnce_DoesNotRepeatALine(t *testing.T) {
	t.Parallel()
	require.NoError(t, eachOnce([]error{nil, nil}))
	one, two := errors.New("one"), errors.New("two")
	require.EqualError(t, eachOnce([]error{errors.Join(one, two), nil, two}), "one\ntwo")
}
