package extension

import (
	"flag"
	"fmt"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the exported surface of pkg/ to api/pkg.txt")

// committedSurface has one line for each thing that another module can name.
const committedSurface = "../../api/pkg.txt"

func TestPkg_ExportsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	current := surfaceOf(t)
	if *update {
		require.NoError(t, os.WriteFile(committedSurface, []byte(strings.Join(current, "\n")+"\n"), 0o644)) //nolint:gosec // a file of the repository
		return
	}
	content, err := os.ReadFile(committedSurface)
	require.NoError(t, err)
	committed := strings.Split(strings.TrimSpace(string(content)), "\n")
	require.Greater(t, len(committed), 500, "the file lists the whole surface")
	var changes []string
	for _, line := range current {
		if _, known := slices.BinarySearch(committed, line); !known {
			changes = append(changes, "+ "+line)
		}
	}
	for _, line := range committed {
		if _, kept := slices.BinarySearch(current, line); !kept {
			changes = append(changes, "- "+line)
		}
	}
	require.Empty(t, changes, "pkg/ exports something else than api/pkg.txt says. If that is meant, run make api, "+
		"and tell what was removed or changed in CHANGELOG.md; docs/extending.md says what is stable")
}

// surfaceOf lists what the packages of pkg/ export, sorted.
func surfaceOf(t *testing.T) []string {
	t.Helper()
	packages := list(t)
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(packages[path].Export) })
	var lines []string
	for path := range packages {
		if !strings.HasPrefix(path, module+"/pkg/") {
			continue
		}
		loaded, err := from.Import(path)
		require.NoError(t, err)
		for _, name := range loaded.Scope().Names() {
			if object := loaded.Scope().Lookup(name); object.Exported() {
				for _, line := range describe(object) {
					lines = append(lines, "pkg "+shortened(path)+", "+line)
				}
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func shortened(path string) string { return strings.TrimPrefix(path, module+"/pkg/") }

func qualified(of *types.Package) string {
	return strings.ReplaceAll(shortened(of.Path()), module+"/", "")
}

func text(of types.Type) string { return types.TypeString(unnamed(of), qualified) }

// describe gives the lines of one name: a type has one for each exported field and
// method, too.
func describe(object types.Object) []string {
	switch object := object.(type) {
	case *types.Const:
		value := object.Val().ExactString()
		if object.Val().Kind() == constant.Float {
			value = object.Val().String()
		}
		return []string{fmt.Sprintf("const %s %s = %s", object.Name(), text(object.Type()), value)}
	case *types.Var:
		return []string{fmt.Sprintf("var %s %s", object.Name(), text(object.Type()))}
	case *types.Func:
		return []string{"func " + object.Name() + signature(object)}
	case *types.TypeName:
		if object.IsAlias() {
			return []string{fmt.Sprintf("type %s = %s", object.Name(), text(types.Unalias(object.Type())))}
		}
		return append(describeType(object), describeMethods(object)...)
	}
	return nil
}

func describeType(object *types.TypeName) []string {
	start := "type " + object.Name()
	switch of := object.Type().Underlying().(type) {
	case *types.Struct:
		lines := []string{start + " struct"}
		for field := range of.Fields() {
			if field.Exported() {
				lines = append(lines, fmt.Sprintf("%s struct, %s %s", start, field.Name(), text(field.Type())))
			}
		}
		return lines
	case *types.Interface:
		lines := []string{start + " interface"}
		for method := range of.Methods() {
			lines = append(lines, start+" interface, "+method.Name()+signature(method))
		}
		return lines
	default:
		return []string{start + " " + text(of)}
	}
}

func describeMethods(object *types.TypeName) []string {
	if types.IsInterface(object.Type()) {
		return nil
	}
	var lines []string
	methods := types.NewMethodSet(types.NewPointer(object.Type()))
	byValue := types.NewMethodSet(object.Type())
	for selection := range methods.Methods() {
		method := selection.Obj()
		if !method.Exported() {
			continue
		}
		receiver := "*" + object.Name()
		if byValue.Lookup(method.Pkg(), method.Name()) != nil {
			receiver = object.Name()
		}
		lines = append(lines, fmt.Sprintf("method (%s) %s%s", receiver, method.Name(), signature(method)))
	}
	return lines
}

func signature(of types.Object) string { return strings.TrimPrefix(text(of.Type()), "func") }

// unnamed is a type in which parameters have no names: those can change freely.
func unnamed(of types.Type) types.Type {
	function, isFunction := of.(*types.Signature)
	if !isFunction {
		return of
	}
	return types.NewSignatureType(nil, nil, slices.Collect(function.TypeParams().TypeParams()),
		tupleOf(function.Params()), tupleOf(function.Results()), function.Variadic())
}

func tupleOf(named *types.Tuple) *types.Tuple {
	var variables []*types.Var
	for variable := range named.Variables() {
		variables = append(variables, types.NewParam(token.NoPos, nil, "", unnamed(variable.Type())))
	}
	return types.NewTuple(variables...)
}
