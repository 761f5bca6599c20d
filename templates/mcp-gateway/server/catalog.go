package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// kind is where a server's program comes from.
type kind string

const (
	npm     kind = "npm"
	pypi    kind = "pypi"
	command kind = "command"
	github  kind = "github"
)

// definition is one server: what it is installed from and how it is started.
type definition struct {
	name string
	kind kind
	// source is a package of npm or PyPI, or owner/repository on GitHub.
	source string
	args   []string
	// run and install are command lines.
	run, install string
	environment  map[string]string
}

// known is a server that has a name in E2B's SDKs, and the package that it is in.
type known struct {
	kind   kind
	source string
	// variable is the environment variable of the option apiKey, empty for none.
	variable string
	// paths is true where the option paths makes the arguments.
	paths bool
}

// catalog has the servers whose names in the SDKs stand for a package that needs nothing
// but an API key. The others are named by their package, repository or command.
var catalog = map[string]known{
	"brave":              {kind: npm, source: "@brave/brave-search-mcp-server", variable: "BRAVE_API_KEY"},
	"context7":           {kind: npm, source: "@upstash/context7-mcp"},
	"duckduckgo":         {kind: pypi, source: "duckduckgo-mcp-server"},
	"exa":                {kind: npm, source: "exa-mcp-server", variable: "EXA_API_KEY"},
	"fetch":              {kind: pypi, source: "mcp-server-fetch"},
	"filesystem":         {kind: npm, source: "@modelcontextprotocol/server-filesystem", paths: true},
	"git":                {kind: pypi, source: "mcp-server-git"},
	"memory":             {kind: npm, source: "@modelcontextprotocol/server-memory"},
	"sequentialthinking": {kind: npm, source: "@modelcontextprotocol/server-sequential-thinking"},
	"time":               {kind: pypi, source: "mcp-server-time"},
}

// options are those of a server, in all forms that there are.
type options struct {
	Args        []string          `json:"args"`
	Environment map[string]string `json:"envs"`
	Run         string            `json:"runCmd"`
	Install     string            `json:"installCmd"`
	APIKey      string            `json:"apiKey"`
	Paths       []string          `json:"paths"`
}

// mostServers bounds the servers of one gateway.
const mostServers = 64

// parseConfig reads what the SDKs send: options by the names of servers.
func parseConfig(text []byte) ([]definition, error) {
	var byName map[string]options
	if err := json.Unmarshal(text, &byName); err != nil {
		return nil, fmt.Errorf("the configuration is not JSON with options by server: %w", err)
	}
	if len(byName) > mostServers {
		return nil, fmt.Errorf("%d servers are too many: %d is the most", len(byName), mostServers)
	}
	var all []definition
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		one, err := define(name, byName[name])
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Sources: npm's validate-npm-package-name, PEP 508, GitHub's sign-up. No part begins with
// a dash or a dot: it goes into paths and command lines.
var (
	npmName    = regexp.MustCompile(`^(@[a-z0-9_][a-z0-9._-]*/)?[a-zA-Z0-9_][a-zA-Z0-9._-]*(@[a-zA-Z0-9_][a-zA-Z0-9._+-]*)?$`)
	pypiName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(==[A-Za-z0-9][A-Za-z0-9._+!-]*)?$`)
	repository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	plainName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	variable   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// define makes the definition of a server.
func define(name string, of options) (definition, error) {
	for key, value := range of.Environment {
		if !variable.MatchString(key) || strings.ContainsRune(value, 0) {
			return definition{}, fmt.Errorf("server %q: %q is no environment variable", name, key)
		}
	}
	prefix, rest, isPackage := strings.Cut(name, "/")
	d := definition{name: name, kind: kind(prefix), source: rest, args: of.Args, run: of.Run, install: of.Install, environment: of.Environment}
	valid := map[kind]*regexp.Regexp{npm: npmName, pypi: pypiName, github: repository, command: plainName}
	pattern, isKind := valid[d.kind]
	switch {
	case !isPackage || !isKind:
		return fromCatalog(name, of)
	case !pattern.MatchString(rest):
		return definition{}, fmt.Errorf("server %q: %q is no name of %s", name, rest, d.kind)
	case (d.kind == github || d.kind == command) && d.run == "":
		return definition{}, fmt.Errorf("server %q needs runCmd, the command that starts it", name)
	}
	return d, nil
}

func fromCatalog(name string, of options) (definition, error) {
	found, has := catalog[name]
	if !has {
		return definition{}, fmt.Errorf("server %q is not known here; there are %s, and any other as npm/PACKAGE, pypi/PACKAGE, github/OWNER/REPOSITORY or command/NAME",
			name, strings.Join(slices.Sorted(maps.Keys(catalog)), ", "))
	}
	d := definition{name: name, kind: found.kind, source: found.source, args: of.Args, environment: maps.Clone(of.Environment)}
	if found.variable != "" {
		if of.APIKey == "" {
			return definition{}, fmt.Errorf("server %q needs apiKey", name)
		}
		if d.environment == nil {
			d.environment = map[string]string{}
		}
		d.environment[found.variable] = of.APIKey
	}
	if found.paths {
		if len(of.Paths) == 0 {
			return definition{}, fmt.Errorf("server %q needs paths", name)
		}
		d.args = append(d.args, of.Paths...)
	}
	return d, nil
}

// directory is where a server is installed.
func (d definition) directory(root string) string {
	return filepath.Join(root, string(d.kind), strings.ReplaceAll(d.source, "/", "+"))
}

// prefix is what a tool's name begins with where two servers have one of the same name.
func (d definition) prefix() string {
	return regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(d.name, "_")
}

var errNoProgram = errors.New("the package has no program")
