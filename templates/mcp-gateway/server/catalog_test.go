package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseConfig_ReadsWhatTheSDKsSend(t *testing.T) {
	t.Parallel()
	all, err := parseConfig([]byte(`{
		"exa": {"apiKey": "secret"}, "filesystem": {"paths": ["/home/user"]}, "time": {},
		"github/modelcontextprotocol/servers": {"installCmd": "npm install", "runCmd": "npx tool", "envs": {"A": "1"}},
		"npm/@playwright/mcp@0.0.83": {"args": ["--headless"]}, "command/mine": {"runCmd": "./server"}, "pypi/mcp-server-git==1.0": {}
	}`))
	require.NoError(t, err)
	require.Equal(t, []definition{
		{name: "command/mine", kind: command, source: "mine", run: "./server"},
		{name: "exa", kind: npm, source: "exa-mcp-server", environment: map[string]string{"EXA_API_KEY": "secret"}},
		{name: "filesystem", kind: npm, source: "@modelcontextprotocol/server-filesystem", args: []string{"/home/user"}},
		{name: "github/modelcontextprotocol/servers", kind: github, source: "modelcontextprotocol/servers", install: "npm install", run: "npx tool", environment: map[string]string{"A": "1"}},
		{name: "npm/@playwright/mcp@0.0.83", kind: npm, source: "@playwright/mcp@0.0.83", args: []string{"--headless"}},
		{name: "pypi/mcp-server-git==1.0", kind: pypi, source: "mcp-server-git==1.0"},
		{name: "time", kind: pypi, source: "mcp-server-time"},
	}, all)
	require.Equal(t, "@playwright/mcp", all[4].packageName())
	require.Equal(t, "mcp-server-git", all[5].packageName())
	require.Equal(t, "npm_playwright_mcp_0_0_83", all[4].prefix())
}

func TestParseConfig_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`[]`:                               "not JSON with options by server",
		`{"airtable": {}}`:                 `server "airtable" is not known here; there are brave, context7`,
		`{"exa": {}}`:                      `server "exa" needs apiKey`,
		`{"filesystem": {}}`:               `server "filesystem" needs paths`,
		`{"command/x": {}}`:                "needs runCmd",
		`{"github/a/b": {}}`:               "needs runCmd",
		`{"github/a": {"runCmd": "x"}}`:    "is no name of github",
		`{"npm/--registry=x": {}}`:         "is no name of npm",
		`{"npm/../x": {}}`:                 "is no name of npm",
		`{"pypi/-r": {}}`:                  "is no name of pypi",
		`{"pypi/a/b": {}}`:                 "is no name of pypi",
		`{"time": {"envs": {"A=B": "x"}}}`: "is no environment variable",
		`{"command/a b": {"runCmd": "x"}}`: "is no name of command",
		`{"gitlab/a/b": {"runCmd": "x"}}`:  "is not known here",
	} {
		_, err := parseConfig([]byte(config))
		require.ErrorContains(t, err, want, config)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"exa":{"apiKey":"x"},"npm/a@1":{},"github/a/b":{"runCmd":"x"}}`))
	f.Fuzz(func(t *testing.T, config []byte) {
		all, err := parseConfig(config)
		if err != nil {
			return
		}
		for _, one := range all {
			require.True(t, strings.HasPrefix(one.directory("/root"), filepath.Join("/root", string(one.kind))+"/"), one.source)
			require.NotContains(t, strings.TrimPrefix(one.directory("/root"), "/root/"+string(one.kind)+"/"), "/")
			require.False(t, strings.HasPrefix(one.source, "-"), one.source)
			require.Empty(t, slices.DeleteFunc(slices.Collect(maps.Keys(one.environment)), variable.MatchString))
		}
	})
}
