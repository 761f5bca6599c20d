package structure

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documents are the Markdown files that tell where something is, relative to the root.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md", "CONTRIBUTING.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		for _, file := range found {
			name, err := filepath.Rel(root, file)
			require.NoError(t, err)
			files = append(files, name)
		}
	}
	return files
}

var (
	link     = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// fileName is a code span that names a file without its directory.
	fileName = regexp.MustCompile(`^[\w-]+\.(go|sql|proto|sh|yaml|yml|md)$`)
	// target is a code span or a line of a listing that runs make.
	target = regexp.MustCompile("(?m)(?:^|`)(?:sudo )?make ([a-z][a-z0-9-]*)")
	// declaration follows the path of a package: pkg/config.Config.
	declaration = regexp.MustCompile(`\.[A-Z]\w*$`)
	makeTargets = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
)

func TestDocuments_LinkToWhatExists(t *testing.T) {
	t.Parallel()
	for _, name := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(read(t, name), -1) {
			path, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			linked := name
			if path != "" {
				linked = filepath.Join(filepath.Dir(name), path)
			}
			if !assert.True(t, exists(t, linked), "%s links to %s, which does not exist", name, match[1]) || anchor == "" {
				continue
			}
			assert.Contains(t, anchors(read(t, linked)), anchor, "%s links to a heading that %s does not have", name, linked)
		}
	}
}

func TestDocuments_NamePathsThatExist(t *testing.T) {
	t.Parallel()
	inTree := pathPattern(t)
	for _, name := range documents(t) {
		for number, line := range strings.Split(read(t, name), "\n") {
			directory := "" // of the path before on the same line
			for _, word := range words(line, inTree) {
				path := word
				if fileName.MatchString(word) {
					path = filepath.Join(directory, word)
				}
				assert.True(t, exists(t, path), "%s:%d: there is no %s", name, number+1, path)
				directory = path
				if filepath.Ext(path) != "" {
					directory = filepath.Dir(path)
				}
			}
		}
	}
}

func TestDocuments_NameTargetsOfTheMakefile(t *testing.T) {
	t.Parallel()
	var targets []string
	for _, match := range makeTargets.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, match[1])
	}
	for _, name := range documents(t) {
		for _, match := range target.FindAllStringSubmatch(read(t, name), -1) {
			assert.Contains(t, targets, match[1], "%s names make %s", name, match[1])
		}
	}
}

func TestWords_FindsPathsAndFileNames(t *testing.T) {
	t.Parallel()
	inTree := regexp.MustCompile(`(?:^|[^\w./-])((?:pkg|docs)/[\w./…{},*-]*)`)
	for line, want := range map[string][]string{
		"see `pkg/store`, then `store.go`":    {"pkg/store", "store.go"},
		"   │     pkg/store, store.go   rows": {"pkg/store"},
		"`pkg/sandbox/state.go`.":             {"pkg/sandbox/state.go"},
		"`pkg/config.Config` has tags":        {"pkg/config"},
		"pkg/{store,sandbox} and pkg/.":       {"pkg/{store,sandbox}", "pkg/"},
		"[a link](docs/x.md) is one too":      {"docs/x.md"},
		"`make test`, `config.Parse`":         nil,
		"https://example.org/docs/x.html":     nil,
		"the file pkg.txt; /var/docs/pkg":     nil,
	} {
		require.Equal(t, want, words(line, inTree), line)
	}
}

// words returns the paths of a line that begin with a directory of the root, and the
// names of files in code spans, in their order.
func words(line string, inTree *regexp.Regexp) []string {
	type word struct {
		at   int
		text string
	}
	var found []word
	for _, match := range inTree.FindAllStringSubmatchIndex(line, -1) {
		path := strings.TrimRight(line[match[2]:match[3]], ".,")
		found = append(found, word{match[2], declaration.ReplaceAllString(path, "")})
	}
	for _, match := range codeSpan.FindAllStringSubmatchIndex(line, -1) {
		if text := line[match[2]:match[3]]; fileName.MatchString(text) {
			found = append(found, word{match[2], text})
		}
	}
	slices.SortFunc(found, func(a, b word) int { return a.at - b.at })
	var texts []string
	for _, one := range found {
		texts = append(texts, one.text)
	}
	return texts
}

// pathPattern matches a path that begins with a directory of the root.
func pathPattern(t *testing.T) *regexp.Regexp {
	t.Helper()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	var directories []string
	for _, entry := range entries {
		built := entry.Name() == "bin"
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && !built {
			directories = append(directories, regexp.QuoteMeta(entry.Name()))
		}
	}
	return regexp.MustCompile(`(?:^|[^\w./-])((?:` + strings.Join(directories, "|") + `)/[\w./…{},*-]*)`)
}

// exists reports whether there is a file for each alternative of a path in which {a,b}
// are alternatives and … and * are any name.
func exists(t *testing.T, path string) bool {
	t.Helper()
	if before, rest, found := strings.Cut(path, "{"); found {
		choices, after, closed := strings.Cut(rest, "}")
		require.True(t, closed, "%s has no closing brace", path)
		for choice := range strings.SplitSeq(choices, ",") {
			if !exists(t, before+choice+after) {
				return false
			}
		}
		return true
	}
	found, err := filepath.Glob(filepath.Join(root, strings.ReplaceAll(path, "…", "*")))
	require.NoError(t, err, path)
	return len(found) > 0
}

// anchors are the fragments by which the headings of a document are linked to.
func anchors(document string) []string {
	var all []string
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, match := range heading.FindAllStringSubmatch(document, -1) {
		all = append(all, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(content)
}
