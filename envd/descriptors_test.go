package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// opensWithoutDeadlines use descriptors of a directory and of a device, whose calls never
// block.
var opensWithoutDeadlines = map[string]bool{
	"internal/cgroups/cgroups.go": true,
	"internal/host/seed.go":       true,
}

// os.File.Fd sets a descriptor to blocking mode: deadlines have no effect any more, and a
// blocked read or write holds a thread and cannot be ended. utils.WithDescriptor does not.
func TestSource_TakesNoDescriptorThatHasDeadlines(t *testing.T) {
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || opensWithoutDeadlines[path] {
			return err
		}
		parsed, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if selected, ok := node.(*ast.SelectorExpr); ok && selected.Sel.Name == "Fd" {
				t.Errorf("%s takes a descriptor by Fd: use SyscallConn", files.Position(selected.Pos()))
			}
			return true
		})
		for _, imported := range parsed.Imports {
			require.NotContains(t, imported.Path.Value, "creack/pty", "%s: it calls Fd on terminals", path)
		}
		return nil
	}))
}
