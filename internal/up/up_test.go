package up

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// layout is an empty data directory. Linux names files by their true paths.
func layout(t *testing.T) Layout {
	t.Helper()
	directory, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return Layout{DataDir: directory}
}

func TestConfig_DerivesURLAndDomainFromTheAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ listen, url, domain, dial string }{
		{"", "http://localhost:3000", "localhost:3000", "http://127.0.0.1:3000"},
		{"0.0.0.0:80", "http://localhost:80", "localhost:80", "http://127.0.0.1:80"},
		{":8080", "http://localhost:8080", "localhost:8080", "http://127.0.0.1:8080"},
		{"[::1]:3000", "http://localhost:3000", "localhost:3000", "http://[::1]:3000"},
		{"10.0.0.5:3000", "http://10.0.0.5:3000", "localhost:3000", "http://10.0.0.5:3000"},
	} {
		config := Config{Listen: test.listen}
		require.Equal(t, test.url, config.url(), test.listen)
		require.Equal(t, test.domain, config.domain(), test.listen)
		require.Equal(t, test.dial, config.dialURL(), test.listen)
	}
	require.Equal(t, "wrenn.example", (&Config{Domain: "wrenn.example"}).domain())
}

func TestInherited_KeepsOnlyVariablesOfTheControlPlane(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"PATH=/bin", "WRENN_LOG_LEVEL=debug", "PGSSLMODE=require"},
		inherited([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "WRENN_LOG_LEVEL=debug", "HOME=/root", "PGSSLMODE=require", "MYPATH=/x"}))
}

func TestPIDFile_IsHeldByOneAtATime(t *testing.T) {
	t.Parallel()
	l := layout(t)
	pid, err := l.runningPID()
	require.NoError(t, err)
	require.Zero(t, pid, "the directory is new")

	held, err := l.takePIDFile()
	require.NoError(t, err)
	pid, err = l.runningPID()
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), pid)
	_, err = l.takePIDFile()
	require.ErrorIs(t, err, errLocked)

	require.NoError(t, held.Close())
	pid, err = l.runningPID()
	require.NoError(t, err)
	require.Zero(t, pid, "the file is still there, its holder is not")
	last, err := l.readPID()
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), last, "it was not given back: its holder was killed")
	again, err := l.takePIDFile()
	require.NoError(t, err)
	require.NoError(t, releasePIDFile(again, true))
	last, err = l.readPID()
	require.NoError(t, err)
	require.Zero(t, last, "it ended in good order")
}

func TestPIDFile_ThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	l := layout(t)
	require.NoError(t, os.MkdirAll(l.run(), 0o755))
	require.NoError(t, os.WriteFile(l.pidFile(), []byte("no number\n"), 0o644))
	_, err := l.readPID()
	require.ErrorContains(t, err, "is not a process ID")
}

func TestURL_IsKnownOnlyOfAnInstanceThatRuns(t *testing.T) {
	t.Parallel()
	l := layout(t)
	held, err := l.takePIDFile()
	require.NoError(t, err)
	require.NoError(t, l.writeInstance(instance{PID: os.Getpid() + 1, URL: "http://crashed"}))
	_, ready, err := l.URL()
	require.NoError(t, err)
	require.False(t, ready, "a file of an earlier process says nothing of this one")

	require.NoError(t, l.writeInstance(instance{PID: os.Getpid(), URL: "http://here"}))
	url, ready, err := l.URL()
	require.NoError(t, err)
	require.True(t, ready)
	require.Equal(t, "http://here", url)

	require.NoError(t, held.Close())
	_, ready, err = l.URL()
	require.NoError(t, err)
	require.False(t, ready)
}

func TestEnsureSecrets_MakesThemOnceAndKeepsThem(t *testing.T) {
	t.Parallel()
	l := layout(t)
	require.NoError(t, os.Mkdir(l.secrets(), 0o700))
	owner := systemUser{uid: os.Getuid(), gid: os.Getgid()}
	if os.Geteuid() == 0 {
		owner = systemUser{uid: 65534, gid: 65534}
	}
	require.NoError(t, l.ensureSecrets(owner))
	key, err := l.ReadAPIKey()
	require.NoError(t, err)
	require.Regexp(t, `^e2b_[0-9a-f]{40}$`, key)
	secret, err := os.ReadFile(l.SecretKey())
	require.NoError(t, err)
	require.Len(t, secret, seal.KeySize)
	for path, mode := range map[string]os.FileMode{l.SecretKey(): 0o600, l.APIKey(): 0o640} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}

	require.NoError(t, l.ensureSecrets(owner))
	again, err := l.ReadAPIKey()
	require.NoError(t, err)
	require.Equal(t, key, again)
}

func TestBuildOf_TellsProgramsApartByTheirContent(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	program, agent := filepath.Join(directory, "program"), filepath.Join(directory, "agent")
	require.NoError(t, os.WriteFile(program, []byte("one"), 0o755))
	require.NoError(t, os.WriteFile(agent, []byte("two"), 0o755))
	before, err := buildOf(program, agent)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(agent, []byte("three"), 0o755))
	after, err := buildOf(program, agent)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
}

func TestLines_PassOnWholeLinesOnly(t *testing.T) {
	t.Parallel()
	var said []string
	l := &lines{say: func(line string) { said = append(said, line) }}
	for _, part := range []string{"one\ntw", "o\n", "\nthree"} {
		n, err := l.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	require.Equal(t, []string{"one", "two", ""}, said)
}

func TestOpenLog_SetsABigOneAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "part.log")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, logLimit+1))
	log, err := openLog(path)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.FileExists(t, path+".1")
}

func TestDown_WithNothingRunningSaysSoAndSucceeds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, Down(t.Context(), Config{DataDir: layout(t).DataDir, Out: &out}))
	require.Contains(t, out.String(), "not running")
}

func TestAwaitEnd_TellsAnOrderlyEndFromAKill(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		end    func(held *os.File) error
		killed bool
	}{
		{"it stopped in order", func(held *os.File) error { return releasePIDFile(held, true) }, false},
		{"it was killed, which closes its files", (*os.File).Close, true},
		{"another has the data directory by now", func(held *os.File) error { return writePID(held, 1) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := layout(t)
			held, err := l.takePIDFile()
			require.NoError(t, err)
			defer held.Close()
			ending := time.AfterFunc(2*pollEvery, func() {
				if err := test.end(held); err != nil {
					t.Errorf("let go: %v", err)
				}
			})
			defer ending.Stop()
			killed, err := l.awaitEnd(t.Context(), os.Getpid())
			require.NoError(t, err)
			require.Equal(t, test.killed, killed)
		})
	}
}

func TestArguments_RepeatOnlyWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, "up --data-dir /d", strings.Join((&Config{DataDir: "/d"}).arguments(), " "))
	require.Equal(t, "up --data-dir /d --listen :1 --domain x", strings.Join((&Config{DataDir: "/d", Listen: ":1", Domain: "x"}).arguments(), " "))
}

func TestReadInstance_OfABrokenFileIsAnError(t *testing.T) {
	t.Parallel()
	l := layout(t)
	require.NoError(t, os.MkdirAll(l.run(), 0o755))
	require.NoError(t, os.WriteFile(l.instance(), []byte("{"), 0o644))
	_, _, err := l.readInstance(1)
	require.ErrorContains(t, err, "instance.json")
}

func TestTakePIDFile_SaysWhoItIs(t *testing.T) {
	t.Parallel()
	l := layout(t)
	held, err := l.takePIDFile()
	require.NoError(t, err)
	defer held.Close()
	content, err := os.ReadFile(l.pidFile())
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid()), strings.TrimSpace(string(content)))
}
