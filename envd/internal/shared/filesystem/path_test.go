package filesystem

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const home = "/home/alice"

func TestResolve_ReadsPathsAsAShellWould(t *testing.T) {
	for _, test := range []struct{ path, workdir, want string }{
		{"/etc/passwd", "", "/etc/passwd"},
		{"notes.txt", "", "/home/alice/notes.txt"},
		{"notes.txt", "/srv", "/srv/notes.txt"},
		{"", "/srv", "/srv"},
		{"", "", "/home/alice"},
		{"~", "/srv", "/home/alice"},
		{"~/a/../b", "/srv", "/home/alice/b"},
		{"../../../../etc", "", "/etc"},
		{"/a//b/./c/", "", "/a/b/c"},
		{"a~", "", "/home/alice/a~"},
		{"./~root/x", "", "/home/alice/~root/x"},
		{"~/../../../etc", "", "/etc"},
	} {
		got, err := Resolve(test.path, home, test.workdir)
		require.NoError(t, err)
		require.Equal(t, test.want, got, "%q in %q", test.path, test.workdir)
	}
}

func TestResolve_NeverStartsWhereTheAgentIs(t *testing.T) {
	for home, want := range map[string]string{"": "/x", ".": "/x", "nowhere": "/nowhere/x", "../..": "/x"} {
		for _, path := range []string{"x", "~/x"} {
			got, err := Resolve(path, home, "")
			require.NoError(t, err)
			require.Equal(t, want, got, "%q in the home %q", path, home)
		}
	}
}

func TestResolve_RefusesWhatNamesNoFile(t *testing.T) {
	for _, path := range []string{"a\x00b", "~root/x", "/" + strings.Repeat("x", maxPathBytes)} {
		_, err := Resolve(path, home, "")
		require.ErrorIs(t, err, ErrInvalidPath, "%.20q", path)
	}
}
