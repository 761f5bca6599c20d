// Package structure holds the tree to the rules that no compiler checks: who may
// import generated rows, how large a package may be, how much PL/pgSQL there is.
package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	module = "git.omukk.dev/wrenn/sandbox"
	root   = "../.."
	// mostPackageLines is for a package without its tests and generated files: what
	// is larger holds more than one idea.
	mostPackageLines = 2500
	// mostFunctionLines is for all functions of the database together: triggers
	// count, and Go decides.
	mostFunctionLines = 120
)

// source is what go list tells of a package.
type source struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

func sources(t *testing.T, directory string) []source {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	command.Dir = directory
	command.Stderr = t.Output()
	output, err := command.Output()
	require.NoError(t, err)
	var all []source
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var one source
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, one)
	}
	require.NotEmpty(t, all)
	return all
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func TestPackages_StaySmall(t *testing.T) {
	t.Parallel()
	for _, directory := range []string{root, filepath.Join(root, "envd")} {
		for _, one := range sources(t, directory) {
			lines := 0
			for _, file := range one.GoFiles {
				content, err := os.ReadFile(filepath.Join(one.Dir, file))
				require.NoError(t, err)
				if !generated.Match(content) {
					lines += bytes.Count(content, []byte("\n"))
				}
			}
			assert.LessOrEqual(t, lines, mostPackageLines, "%s has more lines than a package may: look for the second idea in it", one.ImportPath)
		}
	}
}

// storeFile is a file that maps rows to domain types.
var storeFile = regexp.MustCompile(`(^|_)store(_test)?\.go$`)

func TestRows_AreImportedByStoresOnly(t *testing.T) {
	t.Parallel()
	rows := []byte(`"` + module + `/internal/rows"`)
	stores := []string{module + "/pkg/store", module + "/internal/rows", module + "/bench"}
	for _, one := range sources(t, root) {
		if slices.Contains(stores, one.ImportPath) || strings.HasSuffix(one.ImportPath, "test") {
			continue
		}
		for _, file := range one.GoFiles {
			content, err := os.ReadFile(filepath.Join(one.Dir, file))
			require.NoError(t, err)
			if !storeFile.MatchString(file) {
				assert.False(t, bytes.Contains(content, rows), "%s/%s imports generated rows: map them to domain types in a store.go", one.ImportPath, file)
			}
		}
	}
}

func TestDatabase_HasFewFunctions(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile(filepath.Join(root, "db/schema.sql"))
	require.NoError(t, err)
	functions := regexp.MustCompile(`(?ms)^CREATE FUNCTION .*?^\s*AS (\$\w*\$).*?\$\w*\$;$`).FindAll(schema, -1)
	require.NotEmpty(t, functions)
	lines := 0
	for _, function := range functions {
		if bytes.Contains(function, []byte("public.river_")) {
			continue // the job queue's own
		}
		lines += bytes.Count(function, []byte("\n")) - 1 // but for the two lines that pg_dump adds
	}
	require.LessOrEqual(t, lines, mostFunctionLines, "triggers count; what happens is decided, and told, in Go")
}

// Numbers are given when a branch begins, so that until all have landed some are missing.
func TestDecisions_AreNumberedOnce(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "docs/decisions/[0-9]*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	index, err := os.ReadFile(filepath.Join(root, "docs/decisions/README.md"))
	require.NoError(t, err)
	last := 0
	for _, file := range files {
		name := filepath.Base(file)
		require.Greater(t, number(name), last, "%s: another decision has this number", name)
		last = number(name)
		require.Contains(t, string(index), "("+name+")", "docs/decisions/README.md lists every decision")
	}
}

// number is the four digits with which a decision's file name begins.
func number(name string) int {
	value := 0
	for _, digit := range name[:4] {
		value = 10*value + int(digit-'0')
	}
	return value
}
