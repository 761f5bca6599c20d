package postgres

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// newConfig describes a cluster in a directory that its system user can reach.
func newConfig(t *testing.T) Config {
	t.Helper()
	if _, err := FindInstallation(); err != nil {
		t.Skipf("these tests need PostgreSQL: %v", err)
	}
	directory, err := os.MkdirTemp("", "wrenn-pg-") //nolint:usetesting // t.TempDir's long path leaves no room for a socket's name.
	require.NoError(t, err)
	require.NoError(t, os.Chmod(directory, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	return Config{
		DataDir: filepath.Join(directory, "data"), SocketDir: filepath.Join(directory, "run"),
		LogPath: filepath.Join(directory, "log"), User: testUser(t),
	}
}

// testUser is a system user to run PostgreSQL as when the tests run as root.
func testUser(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return ""
	}
	for _, name := range []string{"wrenn", "postgres", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	t.Skip("these tests need a system user that is not root")
	return ""
}

func start(t *testing.T, config Config) *Server {
	t.Helper()
	server, err := Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	return server
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close(context.Background())) })
	return connection
}

func TestStart_KeepsWhatWasWrittenAcrossRestarts(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	server := start(t, config)
	connection := connect(t, server.URL())
	_, err := connection.Exec(t.Context(), "CREATE TABLE kept AS SELECT 7 AS number")
	require.NoError(t, err)
	// A session that is still open does not hold up a stop.
	require.NoError(t, server.Stop(t.Context()))

	server = start(t, config)
	var number int
	require.NoError(t, connect(t, server.URL()).QueryRow(t.Context(), "SELECT number FROM kept").Scan(&number))
	require.Equal(t, 7, number)
}

func TestStart_ListensOnAUnixSocketOnly(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	server := start(t, config)
	var addresses string
	require.NoError(t, connect(t, server.URL()).QueryRow(t.Context(), "SHOW listen_addresses").Scan(&addresses))
	require.Empty(t, addresses)
	info, err := os.Stat(filepath.Join(config.SocketDir, socketName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestStart_RecoversFromAKilledServer(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	server, err := Start(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGKILL))
	<-server.Done()
	start(t, config)
}

func TestStart_ReplacesALockWhoseProcessIsAnotherProgram(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	server, err := Start(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, server.Stop(t.Context()))
	// What a crash of the machine leaves behind, after the ID was given away.
	for _, lock := range []string{filepath.Join(config.clusterDir(), "postmaster.pid"), filepath.Join(config.SocketDir, socketName+".lock")} {
		content := fmt.Sprintf("%d\n%s\n%d\n", os.Getppid(), config.clusterDir(), time.Now().Unix())
		require.NoError(t, os.WriteFile(lock, []byte(content), 0o600))
	}
	start(t, config)
}

func TestStart_StopsAServerLeftByAnEarlierRun(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	left, err := Start(t.Context(), config)
	require.NoError(t, err)
	start(t, config)
	<-left.Done()
	require.NoError(t, left.Err())
}

func TestStart_RefusesToRunAsRoot(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	config.User = "root"
	_, err := Start(t.Context(), config)
	require.ErrorContains(t, err, "does not run as root")
}

func TestStart_RefusesASocketPathTheKernelWouldNotTake(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	for range 20 {
		config.SocketDir = filepath.Join(config.SocketDir, "longer")
	}
	_, err := Start(t.Context(), config)
	require.ErrorContains(t, err, "choose a shorter data directory")
}

func TestStart_NamesThePackageOfAClusterWhoseVersionIsGone(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	require.NoError(t, os.MkdirAll(config.clusterDir(), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(config.clusterDir(), "PG_VERSION"), []byte("9\n"), 0o644))
	_, err := Start(t.Context(), config)
	require.ErrorContains(t, err, "apt-get install postgresql-9")
}

func TestStart_SaysWhenTheServerEndsAtOnce(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	server, err := Start(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, server.Stop(t.Context()))
	local := filepath.Join(config.clusterDir(), "local.conf")
	require.NoError(t, os.WriteFile(local, []byte("no_such_setting = 1\n"), 0o644))
	_, err = Start(t.Context(), config)
	require.ErrorContains(t, err, config.LogPath)
	require.ErrorContains(t, err, "contains errors")
}

func TestReadPID_OfAnEmptyLockIsZero(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "postmaster.pid")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	pid, err := readPID(path)
	require.NoError(t, err)
	require.Zero(t, pid)
	require.NoFileExists(t, path)
}

func TestFindInstallation_FindsTheNewest(t *testing.T) {
	t.Parallel()
	found, err := FindInstallation()
	if err != nil {
		require.ErrorIs(t, err, ErrNotInstalled)
		t.Skip("no PostgreSQL is installed")
	}
	directories, err := filepath.Glob(filepath.Join(installations, "*", "bin", "postgres"))
	require.NoError(t, err)
	for _, directory := range directories {
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(directory))))
		require.NoError(t, err)
		require.LessOrEqual(t, major, found.Major)
	}
}
