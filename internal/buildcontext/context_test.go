package buildcontext_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/buildcontext"
)

// directoryOf makes a directory of files with their contents.
func directoryOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return root
}

func open(t *testing.T, root string) *buildcontext.Directory {
	t.Helper()
	directory, err := buildcontext.Open(root, filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, directory.Close()) })
	return directory
}

// unpack returns an archive's contents by name; a link's is its target.
func unpack(t *testing.T, files *buildcontext.Files) map[string]string {
	t.Helper()
	var packed bytes.Buffer
	require.NoError(t, files.WriteTar(&packed))
	uncompressed, err := gzip.NewReader(&packed)
	require.NoError(t, err)
	found := make(map[string]string)
	for archive := tar.NewReader(uncompressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		found[header.Name] = string(content) + header.Linkname
		require.Zero(t, header.Uid)
	}
}

func TestFiles_AreThoseThatSourcesNameAndNothingIgnores(t *testing.T) {
	t.Parallel()
	root := directoryOf(t, map[string]string{
		"a.txt": "a", "b.txt": "b", "src/main.go": "m", "src/test/x_test.go": "x", "src/log/1.log": "l", "node_modules/x/y": "y",
		".dockerignore": "node_modules\n**/*.log\nsrc/test\n!src/test/keep\n", "src/test/keep": "k",
	})
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(root, "src", "link")))
	directory := open(t, root)

	for name, c := range map[string]struct {
		sources, excludes []string
		want              map[string]string
	}{
		"files by pattern":      {[]string{"*.txt"}, nil, map[string]string{"a.txt": "a", "b.txt": "b"}},
		"a directory":           {[]string{"src"}, nil, map[string]string{"src/": "", "src/main.go": "m", "src/log/": "", "src/test/keep": "k", "src/link": "/etc/passwd"}},
		"all, with excludes":    {[]string{"."}, []string{"src", ".dockerignore"}, map[string]string{"./": "", "a.txt": "a", "b.txt": "b"}},
		"a file and its parent": {[]string{"src/main.go", "src/main.go"}, nil, map[string]string{"src/main.go": "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := directory.Files(c.sources, c.excludes)
			require.NoError(t, err)
			require.Equal(t, c.want, unpack(t, files))
			require.Len(t, files.Hash, 64)
		})
	}
}

func TestFiles_OfASourceThatMatchesNothingIsAnError(t *testing.T) {
	t.Parallel()
	directory := open(t, directoryOf(t, map[string]string{"a": "", "ignored": "", ".dockerignore": "ignored\n"}))
	for _, source := range []string{"missing", "*.go", "ignored", "../outside"} {
		_, err := directory.Files([]string{"a", source}, nil)
		var none *buildcontext.NoFilesError
		require.True(t, errors.As(err, &none) || err != nil && source == "../outside", "%s: %v", source, err)
	}
}

func TestFiles_DoNotLeaveTheirDirectory(t *testing.T) {
	t.Parallel()
	root := directoryOf(t, map[string]string{"a": ""})
	require.NoError(t, os.Symlink("/etc", filepath.Join(root, "etc")))
	_, err := open(t, root).Files([]string{"etc/passwd"}, nil)
	require.Error(t, err)
}

func TestFiles_RefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	root := directoryOf(t, map[string]string{"a": ""})
	require.NoError(t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	_, err := open(t, root).Files([]string{"."}, nil)
	require.ErrorContains(t, err, "pipe is neither a file nor a directory nor a link")
}

func TestFiles_HashDependsOnContentAndModeOnly(t *testing.T) {
	t.Parallel()
	hash := func(change func(root string)) string {
		root := directoryOf(t, map[string]string{"a": "1", "b/c": "2"})
		change(root)
		files, err := open(t, root).Files([]string{"."}, nil)
		require.NoError(t, err)
		return files.Hash
	}
	same := hash(func(string) {})
	require.Equal(t, same, hash(func(root string) {
		require.NoError(t, os.Chtimes(filepath.Join(root, "a"), time.Unix(0, 0), time.Unix(0, 0)))
	}))
	for name, change := range map[string]func(root string){
		"content": func(root string) { require.NoError(t, os.WriteFile(filepath.Join(root, "a"), []byte("2"), 0o644)) },
		"mode":    func(root string) { require.NoError(t, os.Chmod(filepath.Join(root, "a"), 0o755)) },
		"name":    func(root string) { require.NoError(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "d"))) },
	} {
		require.NotEqual(t, same, hash(change), name)
	}
}

func TestWriteTar_FailsWhenAFileHasChanged(t *testing.T) {
	t.Parallel()
	root := directoryOf(t, map[string]string{"a": "1"})
	files, err := open(t, root).Files([]string{"a"}, nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "a"), []byte("longer"), 0o644))
	require.ErrorContains(t, files.WriteTar(io.Discard), "a changed while it was read")
}

func TestOpen_PrefersTheIgnoreFileOfTheDockerfile(t *testing.T) {
	t.Parallel()
	directory := open(t, directoryOf(t, map[string]string{"a": "a", "b": "b", ".dockerignore": "a\n", "Dockerfile.dockerignore": "b\nDocker*\n.docker*\n"}))
	files, err := directory.Files([]string{"."}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"./": "", "a": "a"}, unpack(t, files))
}
