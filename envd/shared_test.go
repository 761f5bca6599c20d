package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A package below internal/shared that only one other uses belongs into that one.
func TestShared_HasTwoImportersOfEachPackage(t *testing.T) {
	const module, shared = "git.omukk.dev/wrenn/sandbox/envd/", "internal/shared"
	importers := make(map[string]map[string]bool)
	entries, err := os.ReadDir(shared)
	require.NoError(t, err)
	for _, entry := range entries {
		importers[entry.Name()] = make(map[string]bool)
	}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if name, found := strings.CutPrefix(imported, module+shared+"/"); found {
				importers[name][filepath.Dir(path)] = true
			}
		}
		return nil
	}))
	for _, name := range []string{"filesystem", "id", "keys", "smap", "utils"} {
		require.Contains(t, importers, name)
	}
	for name, by := range importers {
		require.GreaterOrEqual(t, len(by), 2, "%s is imported by %v", name, by)
	}
}
