package permissions

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var alice = &User{Name: "alice", Home: "/home/alice"}

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
	} {
		got, err := Resolve(test.path, alice, test.workdir)
		require.NoError(t, err)
		require.Equal(t, test.want, got, "%q in %q", test.path, test.workdir)
	}
}

func TestResolve_RefusesWhatNamesNoFile(t *testing.T) {
	for _, path := range []string{"a\x00b", "~root/x", "/" + strings.Repeat("x", maxPathBytes)} {
		_, err := Resolve(path, alice, "")
		require.ErrorIs(t, err, ErrInvalidPath, "%.20q", path)
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"", "~", "~/x", "..", "/../x", "a\x00", "a/b/../../.."} {
		f.Add(seed, "/work")
	}
	f.Fuzz(func(t *testing.T, path, workdir string) {
		if !strings.HasPrefix(workdir, "/") {
			workdir = ""
		}
		got, err := Resolve(path, alice, workdir)
		if err != nil {
			return
		}
		require.True(t, strings.HasPrefix(got, "/"), "absolute: %q", got)
		require.NotContains(t, strings.Split(got, "/"), "..")
		require.NotContains(t, got, "\x00")
	})
}

func TestLookup_KnowsRootAndNobodyElseByAccident(t *testing.T) {
	root, err := Lookup("root")
	require.NoError(t, err)
	require.Zero(t, root.UID)
	require.Equal(t, "/root", root.Home)
	for _, name := range []string{"no-such-user", "", "root\x00", "../root"} {
		_, err := Lookup(name)
		require.ErrorIs(t, err, ErrUnknownUser, "%q", name)
	}
}

func TestNameFromHeader_TakesTheNameAndNoPassword(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "Bearer abc": "", "Basic cm9vdDo=": "root", "Basic dXNlcjpwYXNz": "user",
	} {
		got, err := NameFromHeader(http.Header{"Authorization": {value}})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, value := range []string{"Basic !!!", "Basic cm9vdA=="} {
		_, err := NameFromHeader(http.Header{"Authorization": {value}})
		require.Error(t, err, "%q", value)
	}
}
