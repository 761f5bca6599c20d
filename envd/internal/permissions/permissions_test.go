package permissions

import (
	"net/http"
	"os/exec"
	"strings"
	"syscall"
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
		{"a~", "", "/home/alice/a~"},
		{"./~root/x", "", "/home/alice/~root/x"},
		{"~/../../../etc", "", "/etc"},
	} {
		got, err := Resolve(test.path, alice, test.workdir)
		require.NoError(t, err)
		require.Equal(t, test.want, got, "%q in %q", test.path, test.workdir)
	}
}

func TestResolve_NeverStartsWhereTheAgentIs(t *testing.T) {
	for home, want := range map[string]string{"": "/x", ".": "/x", "nowhere": "/nowhere/x", "../..": "/x"} {
		for _, path := range []string{"x", "~/x"} {
			got, err := Resolve(path, &User{Home: home}, "")
			require.NoError(t, err)
			require.Equal(t, want, got, "%q in the home %q", path, home)
		}
	}
}

func TestResolve_RefusesWhatNamesNoFile(t *testing.T) {
	for _, path := range []string{"a\x00b", "~root/x", "/" + strings.Repeat("x", maxPathBytes)} {
		_, err := Resolve(path, alice, "")
		require.ErrorIs(t, err, ErrInvalidPath, "%.20q", path)
	}
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
		"": "", "Bearer abc": "", "Basic cm9vdDo=": "root", "basic cm9vdDo=": "root", "Basic Og==": "", "Basically x": "", "Basic dXNlcjpwYXNz": "user",
	} {
		got, err := NameFromHeader(http.Header{"Authorization": {value}})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, value := range []string{"Basic", "Basic !!!", "Basic cm9vdA=="} {
		_, err := NameFromHeader(http.Header{"Authorization": {value}})
		require.Error(t, err, "%q", value)
	}
}

func TestCredential_MakesAChildTheUsers(t *testing.T) {
	user := nobody(t)
	user.Groups = append(user.Groups, 54321)
	command := exec.Command("id")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: user.Credential()}
	output, err := command.Output()
	require.NoError(t, err)
	require.Contains(t, string(output), "uid=65534(nobody) gid=65534(nogroup)")
	require.Contains(t, string(output), "54321")
}
