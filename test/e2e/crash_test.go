package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// TestUp_SandboxesLiveThroughTheDeathOfEachPart kills the parts of a running
// Wrenn, one after the other, under a sandbox that counts.
func TestUp_SandboxesLiveThroughTheDeathOfEachPart(t *testing.T) {
	wrenn := running(t)
	s := createSandbox(t)
	processID := s.run(t, counterCommand)
	paused := createSandbox(t)
	paused.run(t, "echo kept > /home/user/kept")
	require.Equal(t, http.StatusNoContent, paused.call(t, "pause", "{}").status)

	count := awaitCount(t, s, 10)
	for _, part := range []string{"wrenn-agent", "wrenn-control"} {
		victim := findPart(t, wrenn, part)
		require.NoError(t, syscall.Kill(victim, syscall.SIGKILL))
		awaitPart(t, wrenn, part, victim)
		s.awaitAnswers(t)
		count = awaitCount(t, s, count+10)
	}
	victim := postmaster(t, wrenn)
	require.NoError(t, syscall.Kill(victim, syscall.SIGKILL))
	require.Eventually(t, func() bool { return postmaster(t, wrenn) != victim }, time.Minute, 50*time.Millisecond)
	s.awaitAnswers(t)
	awaitCount(t, s, count+10)

	requireCountedOn(t, s, processID)

	resumed := paused.call(t, "resume", `{"timeout":60}`)
	require.Equal(t, http.StatusCreated, resumed.status, "body: %s", resumed.body)
	require.Equal(t, "kept", paused.run(t, "cat /home/user/kept"))
}

// TestDown_PausesWhatAKilledWrennLeftRunning kills all of Wrenn but its VMs.
func TestDown_PausesWhatAKilledWrennLeftRunning(t *testing.T) {
	wrenn := running(t)
	s := createSandbox(t)
	processID := s.run(t, counterCommand)
	before := awaitCount(t, s, 10)

	supervisor := supervisorOf(t, wrenn)
	// Or it would start the others again, and they would end in order with it.
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGSTOP))
	for _, victim := range []int{
		findPart(t, wrenn, "wrenn-agent"), findPart(t, wrenn, "wrenn-control"), postmaster(t, wrenn), supervisor,
	} {
		require.NoError(t, syscall.Kill(victim, syscall.SIGKILL))
	}
	require.NoError(t, wrenn.Down(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), leakPatience)
	defer cancel()
	left, err := shared.before.LeftByInstallation(ctx, wrenn.DataDir)
	require.NoError(t, err)
	require.Empty(t, left, "left behind by wrenn down")
	require.NoError(t, wrenn.Up(t.Context()))

	resumed := s.call(t, "resume", `{"timeout":60}`)
	require.Equal(t, http.StatusCreated, resumed.status, "body: %s", resumed.body)
	awaitCount(t, s, before+10)
	requireCountedOn(t, s, processID)
}

// requireCountedOn says that the very process counted, and left no number out.
func requireCountedOn(t *testing.T, s *sandbox, processID string) {
	t.Helper()
	require.Equal(t, "python3", s.run(t, "cat /proc/"+processID+"/comm"), "the counting process is another one")
	require.Equal(t, "no gap", s.run(t, "n=$(wc -l < /tmp/count); head -n $n /tmp/count | cmp - <(seq $n) && echo no gap"))
}

// supervisorOf is the process of wrenn up itself.
func supervisorOf(t *testing.T, wrenn *installation.Installation) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(wrenn.DataDir, "run", "wrenn.pid"))
	require.NoError(t, err)
	id, err := strconv.Atoi(strings.TrimSpace(string(content)))
	require.NoError(t, err)
	return id
}

// postmaster is the process that PostgreSQL says it has; 0 while it has none.
func postmaster(t *testing.T, wrenn *installation.Installation) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(wrenn.DataDir, "postgres", "cluster", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), "\n")
	id, err := strconv.Atoi(first)
	require.NoError(t, err)
	return id
}

// awaitPart waits until another process has the place of one that was killed.
func awaitPart(t *testing.T, wrenn *installation.Installation, name string, victim int) {
	t.Helper()
	const patience = time.Minute
	deadline := time.Now().Add(patience)
	for {
		found := findParts(t, wrenn, name)
		if len(found) == 1 && found[0] != victim {
			return
		}
		require.True(t, time.Now().Before(deadline), "%s was not started again: %v", name, found)
		<-time.After(50 * time.Millisecond)
	}
}

// awaitAnswers waits until the API says that the sandbox runs, and its guest
// agent answers through it.
func (s *sandbox) awaitAnswers(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	header := s.atAgent()
	header.Set("X-Access-Token", s.EnvdAccessToken)
	for {
		told, err := trySend(t, request{method: http.MethodGet, path: "/sandboxes/" + s.ID, key: validKey})
		if err == nil && told.status == http.StatusOK && strings.Contains(string(told.body), `"state":"running"`) {
			var health answer
			health, err = trySend(t, request{method: http.MethodGet, path: "/health", header: header})
			if err == nil && health.status == http.StatusNoContent {
				return
			}
		}
		require.True(t, time.Now().Before(deadline), "the sandbox does not answer: %v; the API said %d: %s", err, told.status, told.body)
		<-time.After(50 * time.Millisecond)
	}
}

func findPart(t *testing.T, wrenn *installation.Installation, name string) int {
	t.Helper()
	found := findParts(t, wrenn, name)
	require.Len(t, found, 1, "processes called %s", name)
	return found[0]
}

// findParts finds the processes of one installation by the name they gave
// themselves.
func findParts(t *testing.T, wrenn *installation.Installation, name string) []int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	require.NoError(t, err)
	var found []int
	for _, path := range names {
		comm, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(comm)) != name {
			continue
		}
		directory := filepath.Dir(path)
		environment, err := os.ReadFile(filepath.Join(directory, "environ"))
		if err != nil || !strings.Contains(string(environment), wrenn.DataDir+"/") {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(directory))
		require.NoError(t, err)
		found = append(found, id)
	}
	return found
}
