package permissions

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// How long a test waits for what happens by itself, and how often it looks.
const (
	pollFor   = 5 * time.Second
	pollEvery = 5 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func nobody(t *testing.T) *User {
	t.Helper()
	require.Zero(t, os.Geteuid(), "acting as other users takes root")
	found, err := Lookup("nobody")
	require.NoError(t, err)
	return found
}

// sharedDirectory is one that every user may reach and write in.
func sharedDirectory(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(directory), 0o755))
	require.NoError(t, os.Chmod(directory, 0o777))
	return directory
}

func TestDo_MakesFilesThatAreTheUsers(t *testing.T) {
	user := nobody(t)
	path := filepath.Join(sharedDirectory(t), "file")
	require.NoError(t, user.Do(func() error { return os.WriteFile(path, nil, 0o600) }))
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.Equal(t, user.UID, stat.Uid)
	require.Equal(t, user.GID, stat.Gid)
}

func TestDo_KeepsOutOfWhatIsNotTheUsers(t *testing.T) {
	directory := sharedDirectory(t)
	path := filepath.Join(directory, "secret")
	require.NoError(t, os.WriteFile(path, []byte("root's"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(directory, "closed"), 0o700))
	user := nobody(t)
	for name, work := range map[string]func() error{
		"read":            func() error { _, err := os.ReadFile(path); return err },
		"append":          func() error { return os.WriteFile(path, nil, 0o600) },
		"change the mode": func() error { return os.Chmod(path, 0o666) },
		"take":            func() error { return os.Chown(path, int(user.UID), int(user.GID)) },
		"give away":       func() error { return os.Lchown(directory, 1, 1) },
		"look inside":     func() error { _, err := os.Stat(filepath.Join(directory, "closed/x")); return err },
		"make a device":   func() error { return syscall.Mknod(filepath.Join(directory, "device"), syscall.S_IFBLK, 0) },
	} {
		require.ErrorIs(t, user.Do(work), fs.ErrPermission, name)
		require.NotErrorIs(t, work(), fs.ErrPermission, "%s: root may, so that the check means something", name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chown(path, 0, 0))
		require.NoError(t, os.Chmod(path, 0o600))
	}
}

func TestDo_LeavesTheUserNoneOfRootsCapabilities(t *testing.T) {
	var status []byte
	require.NoError(t, nobody(t).Do(func() (err error) {
		status, err = os.ReadFile("/proc/thread-self/status")
		return err
	}))
	require.Contains(t, string(status), "CapEff:\t0000000000000000\n")
	require.Contains(t, string(status), "CapPrm:\t0000000000000000\n")
}

func TestDo_ActsWithTheUsersGroups(t *testing.T) {
	path := filepath.Join(sharedDirectory(t), "group's")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o640))
	const group = 54321
	require.NoError(t, os.Chown(path, 0, group))
	read := func() error { _, err := os.ReadFile(path); return err }
	member := nobody(t)
	require.ErrorIs(t, member.Do(read), fs.ErrPermission)
	member.Groups = []uint32{group}
	require.NoError(t, member.Do(read))
}

func TestDo_ChangesNoOtherThread(t *testing.T) {
	user := nobody(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := user.Do(func() error { _, err := os.ReadFile("/etc/shadow"); return err }); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("the user read what is root's: %v", err)
			}
			if _, err := os.ReadFile("/etc/shadow"); err != nil {
				t.Errorf("root cannot read any more: %v", err)
			}
		})
	}
	all.Wait()
	threads, err := filepath.Glob("/proc/self/task/*/status")
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	require.Eventually(t, func() bool { // threads end a little after their work
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			if err == nil && strings.Contains(string(status), "\t"+strconv.Itoa(int(user.UID))+"\n") {
				return false
			}
		}
		return true
	}, pollFor, pollEvery)
}

func TestDo_RunsWorkOfRootAtOnce(t *testing.T) {
	failure := errors.New("failure")
	require.ErrorIs(t, (&User{Name: "root"}).Do(func() error { return failure }), failure)
	require.ErrorIs(t, nobody(t).Do(func() error { return failure }), failure)
}

func TestDo_PassesPanicsOnToItsCaller(t *testing.T) {
	user := nobody(t)
	require.PanicsWithValue(t, "boom", func() { _ = user.Do(func() error { panic("boom") }) })
	require.ErrorIs(t, user.Do(func() error { runtime.Goexit(); return nil }), errEndedEarly)
}

func TestDo_RefusesToWorkAsAnybodyElse(t *testing.T) {
	groups := make([]uint32, 1<<16) // one more, with the primary, than Linux takes
	worked := false
	err := (&User{Name: "crowd", UID: 1, Groups: groups}).Do(func() error { worked = true; return nil })
	require.ErrorIs(t, err, syscall.EINVAL)
	require.False(t, worked)
}
