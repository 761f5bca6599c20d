package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// installed marks a directory whose install came to its end.
const installed = ".installed"

// install installs a server's program, unless it is.
func (d definition) installTo(ctx context.Context, root string) error {
	directory := d.directory(root)
	if d.kind == command {
		return d.shell(ctx, "/", d.install)
	}
	if _, err := os.Stat(filepath.Join(directory, installed)); err == nil {
		return nil
	}
	// What an earlier install left half done is not built upon.
	if err := os.RemoveAll(directory); err != nil {
		return fmt.Errorf("install %s: %w", d.name, err)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("install %s: %w", d.name, err)
	}
	var steps [][]string
	switch d.kind {
	case npm:
		steps = [][]string{{"npm", "install", "--prefix", directory, "--no-audit", "--no-fund", "--", d.source}}
	case pypi:
		steps = [][]string{
			{"python3", "-m", "venv", directory},
			{filepath.Join(directory, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--", d.source},
		}
	case github:
		steps = [][]string{{"git", "clone", "--quiet", "--depth", "1", "--", "https://github.com/" + d.source, filepath.Join(directory, "source")}}
	}
	for _, step := range steps {
		if output, err := exec.CommandContext(ctx, step[0], step[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("install %s: %s: %w: %s", d.name, strings.Join(step, " "), err, end(output))
		}
	}
	if d.kind == github {
		if err := d.shell(ctx, filepath.Join(directory, "source"), d.install); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(directory, installed), nil, 0o644); err != nil {
		return fmt.Errorf("install %s: %w", d.name, err)
	}
	return nil
}

// shell runs a command line of the configuration.
func (d definition) shell(ctx context.Context, directory, line string) error {
	if line == "" {
		return nil
	}
	run := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	run.Dir, run.Env = directory, d.environ()
	if output, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("install %s: %s: %w: %s", d.name, line, err, end(output))
	}
	return nil
}

// end is the end of an output, for a message.
func end(output []byte) string {
	const most = 2 << 10
	return strings.TrimSpace(string(output[max(0, len(output)-most):]))
}

func (d definition) environ() []string {
	environment := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(d.environment)) {
		environment = append(environment, name+"="+d.environment[name])
	}
	// The gateway's own credential is none of its servers' business.
	return slices.DeleteFunc(environment, func(one string) bool { return strings.HasPrefix(one, tokenVariable+"=") })
}

// start makes the command that starts the server, which speaks on standard input and output.
func (d definition) start(root string) (*exec.Cmd, error) {
	directory := d.directory(root)
	var run *exec.Cmd
	switch d.kind {
	case npm:
		program, err := npmProgram(directory, d.packageName())
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", d.name, err)
		}
		run = exec.Command("node", append([]string{program}, d.args...)...)
	case pypi:
		run = exec.Command(filepath.Join(directory, "bin", d.packageName()), d.args...)
	case github:
		run = exec.Command("/bin/sh", "-c", d.run)
		run.Dir = filepath.Join(directory, "source")
	default:
		run = exec.Command("/bin/sh", "-c", d.run)
	}
	run.Env = d.environ()
	return run, nil
}

// packageName is the source without a version.
func (d definition) packageName() string {
	if d.kind == pypi {
		name, _, _ := strings.Cut(d.source, "==")
		return name
	}
	if at := strings.LastIndexByte(d.source, '@'); at > 0 {
		return d.source[:at]
	}
	return d.source
}

// npmProgram is the one program of an installed package, or the one with its name.
func npmProgram(directory, name string) (string, error) {
	home := filepath.Join(directory, "node_modules", filepath.FromSlash(name))
	content, err := os.ReadFile(filepath.Join(home, "package.json"))
	if err != nil {
		return "", err
	}
	var described struct {
		Bin json.RawMessage `json:"bin"`
	}
	if err := json.Unmarshal(content, &described); err != nil {
		return "", fmt.Errorf("read %s's package.json: %w", name, err)
	}
	var one string
	var several map[string]string
	if json.Unmarshal(described.Bin, &one) != nil {
		if err := json.Unmarshal(described.Bin, &several); err != nil || len(several) == 0 {
			return "", errors.Join(errNoProgram, err)
		}
		one = several[filepath.Base(name)]
		if one == "" {
			one = several[slices.Min(slices.Collect(maps.Keys(several)))]
		}
	}
	if !filepath.IsLocal(one) {
		return "", errNoProgram
	}
	return filepath.Join(home, one), nil
}
