// Package templates has the definitions of the stock templates, which `wrenn template pull
// --stock` builds as anybody's.
package templates

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed code-interpreter/Dockerfile mcp-gateway/Dockerfile
var files embed.FS

// Stock is a stock template.
type Stock struct {
	// Name is what clients ask for, Directory that of the definition.
	Name, Directory string
	Summary         string
	CPUs, MemoryMiB int
	// Programs are Wrenn's own that the template has. They are installed beside wrenn.
	Programs []string
}

// All are the stock templates.
var All = []Stock{
	{
		Name: "code-interpreter-v1", Directory: "code-interpreter", CPUs: 2, MemoryMiB: 1024,
		Summary:  "Python, JavaScript, TypeScript, bash and R in kernels that keep their state",
		Programs: []string{"wrenn-code-interpreter"},
	},
	{
		Name: "mcp-gateway", Directory: "mcp-gateway", CPUs: 2, MemoryMiB: 1024,
		Summary:  "servers of the Model Context Protocol behind one address",
		Programs: []string{"mcp-gateway"},
	},
}

// Find returns the stock templates of some names, all of them for none.
func Find(names []string) ([]Stock, error) {
	if len(names) == 0 {
		return All, nil
	}
	var found []Stock
	for _, name := range names {
		one, err := find(name)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

func find(name string) (Stock, error) {
	var known []string
	for _, one := range All {
		if one.Name == name {
			return one, nil
		}
		known = append(known, one.Name)
	}
	return Stock{}, fmt.Errorf("there is no stock template %q; there are %s", name, strings.Join(known, ", "))
}

// Write writes what a build of the template needs into a directory. Its programs are
// copied from another, that of the running program.
func (s Stock) Write(directory, programs string) error {
	definition, err := fs.Sub(files, s.Directory)
	if err != nil {
		return fmt.Errorf("write the template %s: %w", s.Name, err)
	}
	if err := os.CopyFS(directory, definition); err != nil {
		return fmt.Errorf("write the template %s: %w", s.Name, err)
	}
	for _, name := range s.Programs {
		content, err := os.ReadFile(filepath.Join(programs, name))
		if err != nil {
			return fmt.Errorf("write the template %s: it needs the program %s beside wrenn (make build puts it there): %w", s.Name, name, err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o755); err != nil {
			return fmt.Errorf("write the template %s: %w", s.Name, err)
		}
	}
	return nil
}
