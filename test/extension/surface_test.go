package extension

import (
	"encoding/json"
	"go/doc"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// promised are the packages that other modules are told to build on.
var promised = []string{
	"config", "id", "validate", "events", "db", "auth", "lifecycle", "scheduler", "channels", "audit", "service/sandboxes", "cpextension", "cpserver",
}

// listed is what go list tells of a package.
type listed struct {
	ImportPath, Dir, Export string
	TestGoFiles             []string
	XTestGoFiles            []string
}

// list lists what is in pkg/, and all that it imports, built.
func list(t *testing.T) map[string]listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,TestGoFiles,XTestGoFiles", "./pkg/...")
	command.Dir = "../.."
	command.Stderr = t.Output()
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	packages := map[string]listed{}
	for decoder := json.NewDecoder(output); decoder.More(); {
		var one listed
		require.NoError(t, decoder.Decode(&one))
		packages[one.ImportPath] = one
	}
	require.NoError(t, command.Wait())
	return packages
}

func TestPkg_MentionsNothingThatOthersMayNotImport(t *testing.T) {
	t.Parallel()
	packages := list(t)
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(packages[path].Export) })
	s := surface{seen: map[types.Type]bool{}}
	walked := 0
	for path := range packages {
		if !strings.HasPrefix(path, module+"/pkg/") {
			continue
		}
		loaded, err := from.Import(path)
		require.NoError(t, err)
		walked++
		for _, name := range loaded.Scope().Names() {
			if object := loaded.Scope().Lookup(name); object.Exported() {
				s.walk(object.Type(), path+"."+name)
			}
		}
	}
	require.Greater(t, walked, len(promised))
	require.Greater(t, len(s.seen), 500, "the walk goes into types")
	require.Empty(t, s.forbidden)
}

// surface walks types as far as another module can see them.
type surface struct {
	seen      map[types.Type]bool
	forbidden []string
}

// walk notes what a type has of internal/. where is how it is reached.
func (s *surface) walk(of types.Type, where string) {
	of = types.Unalias(of)
	if s.seen[of] {
		return
	}
	s.seen[of] = true
	switch of := of.(type) {
	case *types.Named:
		s.named(of, where)
	case *types.Struct:
		for field := range of.Fields() {
			if field.Exported() || field.Embedded() {
				s.walk(field.Type(), where+"."+field.Name())
			}
		}
	case *types.Interface:
		for method := range of.Methods() {
			s.walk(method.Type(), where+"."+method.Name())
		}
		for embedded := range of.EmbeddedTypes() {
			s.walk(embedded, where)
		}
	case *types.Signature:
		for _, tuple := range []*types.Tuple{of.Params(), of.Results()} {
			for variable := range tuple.Variables() {
				s.walk(variable.Type(), where)
			}
		}
		for parameter := range of.TypeParams().TypeParams() {
			s.walk(parameter.Constraint(), where)
		}
	case *types.Map:
		s.walk(of.Key(), where)
		s.walk(of.Elem(), where)
	case interface{ Elem() types.Type }: // pointers, slices, arrays and channels
		s.walk(of.Elem(), where)
	}
}

func (s *surface) named(of *types.Named, where string) {
	for argument := range of.TypeArgs().Types() {
		s.walk(argument, where)
	}
	home := of.Obj().Pkg()
	if home == nil || !strings.HasPrefix(home.Path(), module) {
		return // not ours to look into
	}
	if strings.HasPrefix(home.Path(), module+"/internal") {
		s.forbidden = append(s.forbidden, where+" is "+of.String())
		return
	}
	for method := range of.Methods() {
		if method.Exported() {
			s.walk(method.Type(), where+"."+method.Name())
		}
	}
	s.walk(of.Underlying(), where)
}

func TestPkg_ShowsHowItIsUsed(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, name := range promised {
		one, exists := packages[module+"/pkg/"+name]
		require.True(t, exists, name)
		files := token.NewFileSet()
		examples := 0
		for _, file := range append(one.TestGoFiles, one.XTestGoFiles...) {
			parsed, err := parser.ParseFile(files, filepath.Join(one.Dir, file), nil, parser.ParseComments)
			require.NoError(t, err)
			examples += len(doc.Examples(parsed))
		}
		require.Positive(t, examples, "pkg/%s has no example", name)
	}
}
