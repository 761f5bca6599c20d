package vmmtest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// testCgroup wants every process of the driver in the group, and the group still there
// after the machine's end.
func (s *suite) testCgroup(t *testing.T) {
	root := cgroup.Open("", "vmmtest-"+strconv.Itoa(os.Getpid()), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	g := s.prepare(t, s.base(t).diskPath)
	group, err := root.Create(g.spec.Name, cgroup.Limits{})
	require.NoError(t, err)
	if group == nil {
		t.Skip("control groups cannot be made on this machine")
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		defer cancel()
		require.NoError(t, group.Remove(ctx))
	})
	g.spec.Cgroup = group.Directory()
	require.NoError(t, os.Link(s.base(t).MemoryPath, g.memoryPath))
	machine, err := s.driver.Restore(t.Context(), g.spec, vmm.State{MemoryPath: g.memoryPath, DevicesPath: s.base(t).DevicesPath})
	g.owns(t, machine, err)
	g.init(t)
	require.Contains(t, members(t, group), strconv.Itoa(machine.Process().ID))
	g.end(t)
	require.DirExists(t, group.Path())
	require.Empty(t, members(t, group))
}

func members(t *testing.T, group *cgroup.Group) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(group.Path(), "cgroup.procs"))
	require.NoError(t, err)
	return strings.Fields(string(content))
}
