package filesystem

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"", "~", "~/x", "..", "/../x", "a\x00", "a/b/../../.."} {
		f.Add(seed, "/work")
	}
	f.Fuzz(func(t *testing.T, path, workdir string) {
		if strings.ContainsRune(workdir, 0) {
			workdir = "" // /init refuses it
		}
		got, err := Resolve(path, home, workdir)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalidPath)
			return
		}
		require.True(t, filepath.IsAbs(got), "absolute: %q", got)
		require.Equal(t, filepath.Clean(got), got)
		require.NotContains(t, strings.Split(got, "/"), "..")
		require.NotContains(t, got, "\x00")
		require.Less(t, len(got), maxPathBytes)
		again, err := Resolve(got, home, workdir)
		require.NoError(t, err)
		require.Equal(t, got, again, "what is resolved stays so")
	})
}
