package permissions

import (
	"net/http"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

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

func TestLookup_TakesAGroupInPlaceOfTheUsersOwn(t *testing.T) {
	for _, group := range []string{"daemon", "1"} {
		found, err := Lookup("nobody:" + group)
		require.NoError(t, err)
		require.Equal(t, "nobody", found.Name)
		require.EqualValues(t, 1, found.GID)
		require.Equal(t, []uint32{1}, found.Groups)
	}
	found, err := Lookup("root:54321")
	require.NoError(t, err)
	require.Equal(t, &User{Name: "root", GID: 54321, Groups: []uint32{54321}, Home: "/root"}, found)
	for _, group := range []string{"", "no-such-group", "-1", "4294967296", "daemon:x", "a\x00"} {
		_, err := Lookup("nobody:" + group)
		require.ErrorIs(t, err, ErrUnknownUser, "%q", group)
	}
}

func TestNameFromHeader_TakesTheNameAndNoPassword(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "Bearer abc": "", "Basic cm9vdDo=": "root", "basic cm9vdDo=": "root", "Basic Og==": "", "Basically x": "", "Basic dXNlcjpwYXNz": "user", "Basic dXNlcjpncm91cDo=": "user:group",
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
