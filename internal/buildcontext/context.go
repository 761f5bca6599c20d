// Package buildcontext packs the files of a directory that a build copies.
package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// IgnoreFile names files of a directory that no build gets, one pattern a line.
// Source: Dockerfile reference, ".dockerignore file".
const IgnoreFile = ".dockerignore"

// Directory is the directory that a build copies from. Symbolic links that lead out of it
// are packed as links and never followed.
type Directory struct {
	root    *os.Root
	ignored *patternmatcher.PatternMatcher
}

// Open opens a directory with its ignore file. dockerfile is the path of the Dockerfile,
// whose own ignore file, DOCKERFILE.dockerignore, prevails; empty for none.
func Open(directory, dockerfile string) (*Directory, error) {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, fmt.Errorf("open the build's directory: %w", err)
	}
	patterns, err := readIgnoreFile(directory, dockerfile)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", IgnoreFile, err), root.Close())
	}
	return &Directory{root: root, ignored: matcher}, nil
}

// Close closes the directory.
func (d *Directory) Close() error { return d.root.Close() }

func readIgnoreFile(directory, dockerfile string) ([]string, error) {
	candidates := []string{filepath.Join(directory, IgnoreFile)}
	if dockerfile != "" {
		candidates = append([]string{dockerfile + IgnoreFile}, candidates...)
	}
	for _, candidate := range candidates {
		file, err := os.Open(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", candidate, err)
		}
		return patterns, nil
	}
	return nil, nil
}

// NoFilesError is returned for a source that no file matches.
type NoFilesError struct{ Source string }

// Error names the source.
func (e *NoFilesError) Error() string {
	return fmt.Sprintf("no file of the build's directory matches %q, or %s leaves all of them out", e.Source, IgnoreFile)
}

// entry is a file, a directory or a link to pack.
type entry struct {
	path string // with slashes, relative to the root
	info fs.FileInfo
}

// find lists what sources name, without what is ignored or excluded, by path. Sources are
// paths or patterns relative to the root; a directory stands for all below it.
func (d *Directory) find(sources, excludes []string) ([]entry, error) {
	excluded, err := patternmatcher.New(excludes)
	if err != nil {
		return nil, fmt.Errorf("exclude: %w", err)
	}
	found := make(map[string]entry)
	for _, source := range sources {
		before := len(found)
		matches, err := fs.Glob(d.root.FS(), path.Clean(source))
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", source, err)
		}
		for _, match := range matches {
			if err := d.walk(match, excluded, found); err != nil {
				return nil, err
			}
		}
		if len(found) == before && !coveredBy(found, matches) {
			return nil, &NoFilesError{Source: source}
		}
	}
	entries := make([]entry, 0, len(found))
	for _, one := range found {
		entries = append(entries, one)
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return entries, nil
}

// coveredBy reports whether an earlier source named the same files.
func coveredBy(found map[string]entry, matches []string) bool {
	return slices.ContainsFunc(matches, func(match string) bool { _, covered := found[match]; return covered })
}

func (d *Directory) walk(from string, excluded *patternmatcher.PatternMatcher, found map[string]entry) error {
	return fs.WalkDir(d.root.FS(), from, func(name string, item fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		left, err := d.isLeftOut(name, excluded)
		if err != nil {
			return err
		}
		if left {
			// A later pattern may bring back a file of an ignored directory.
			if item.IsDir() && !d.ignored.Exclusions() && !excluded.Exclusions() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.root.Lstat(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		if kind := info.Mode().Type(); kind != 0 && kind != fs.ModeDir && kind != fs.ModeSymlink {
			return fmt.Errorf("%s is neither a file nor a directory nor a link; name it in %s", name, IgnoreFile)
		}
		found[name] = entry{path: name, info: info}
		return nil
	})
}

func (d *Directory) isLeftOut(name string, excluded *patternmatcher.PatternMatcher) (bool, error) {
	if name == "." {
		return false, nil
	}
	ignored, err := d.ignored.MatchesOrParentMatches(name)
	if err != nil || ignored {
		return ignored, err
	}
	return excluded.MatchesOrParentMatches(name)
}
