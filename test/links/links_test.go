// Package links holds each program to the list of modules and own packages that it may
// link. The lists are beside this test: a new dependency of a program is a line in a
// change that a reviewer sees.
package links

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the lists of what each program links")

const ownModule = "git.omukk.dev/wrenn/sandbox"

// controlPlaneOnly are the packages that wrenn-host-agent must not link, by the
// beginnings of their paths. The host agent runs as root: what it does not link cannot
// be attacked in it.
var controlPlaneOnly = map[string]string{
	"github.com/jackc/pgx":              "the database",
	"github.com/riverqueue/river":       "the job queue",
	"github.com/pressly/goose":          "the migrations",
	"github.com/coreos/go-oidc":         "single sign-on",
	"golang.org/x/oauth2":               "single sign-on",
	"github.com/wneessen/go-mail":       "mail",
	"github.com/go-chi/chi":             "the control API's routes",
	"golang.org/x/crypto/argon2":        "passwords",
	ownModule + "/db":                   "the migrations",
	ownModule + "/internal/api":         "the control API",
	ownModule + "/internal/proxy/route": "the routing of requests to sandboxes",
	ownModule + "/internal/rows":        "the database",
	ownModule + "/internal/up":          "wrenn up",
	ownModule + "/internal/cli/wrenn":   "the command line of wrenn",
	ownModule + "/pkg/auth":             "credentials of the control API",
	ownModule + "/pkg/config":           "the control plane's configuration",
	ownModule + "/pkg/cpserver":         "the control plane",
	ownModule + "/pkg/db":               "the database",
	ownModule + "/pkg/identity":         "people and their sign-ins",
	ownModule + "/pkg/service":          "the control plane's services",
	ownModule + "/pkg/store":            "the database",
}

// linked returns the modules and the own packages that a program links.
type linked struct{ modules, packages, all []string }

func list(t *testing.T, program string) linked {
	t.Helper()
	command := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{.Module.Path}} {{.ImportPath}}{{end}}", ownModule+"/cmd/"+program)
	output, err := command.Output()
	require.NoError(t, err, "go list -deps ./cmd/%s", program)
	var found linked
	for line := range strings.Lines(string(output)) {
		module, imported, _ := strings.Cut(strings.TrimSpace(line), " ")
		if module == "" {
			continue // of the standard library
		}
		found.all = append(found.all, imported)
		if module == ownModule {
			found.packages = append(found.packages, strings.TrimPrefix(imported, ownModule+"/"))
		} else {
			found.modules = append(found.modules, module)
		}
	}
	slices.Sort(found.packages)
	slices.Sort(found.modules)
	found.modules = slices.Compact(found.modules)
	return found
}

func (l linked) text(program string) string {
	return fmt.Sprintf("# What cmd/%s links; go test ./test/links -update writes it.\n\n# modules\n%s\n\n# packages of this module\n%s\n",
		program, strings.Join(l.modules, "\n"), strings.Join(l.packages, "\n"))
}

// entries are the lines of a list without its comments.
func entries(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func without(lines, removed []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(removed, line) })
}

func TestPrograms_LinkOnlyWhatTheirListsName(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"control-plane", "host-agent", "wrenn"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			file, found := program+".txt", list(t, program)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(found.text(program)), 0o644))
			}
			committed, err := os.ReadFile(file)
			require.NoError(t, err)
			want, got := entries(string(committed)), entries(found.text(program))
			if added := without(got, want); len(added) > 0 {
				t.Errorf("cmd/%s links what test/links/%s does not name:\n  %s\nIf it needs them, run: go test ./test/links -update",
					program, file, strings.Join(added, "\n  "))
			}
			if gone := without(want, got); len(gone) > 0 {
				t.Errorf("cmd/%s no longer links what test/links/%s names:\n  %s\nRun: go test ./test/links -update",
					program, file, strings.Join(gone, "\n  "))
			}
		})
	}
}

func TestHostAgent_LinksNothingOfTheControlPlane(t *testing.T) {
	t.Parallel()
	for _, imported := range list(t, "host-agent").all {
		for prefix, what := range controlPlaneOnly {
			if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
				t.Errorf("wrenn-host-agent links %s (%s); see why: go list -deps -f '{{.ImportPath}}: {{.Imports}}' ./cmd/host-agent | grep %s",
					imported, what, path.Base(imported))
			}
		}
	}
}
