// Package leakcheck finds what a test run has left on the machine: processes, network
// namespaces and links, mounts, loop devices, firewall tables, control groups.
package leakcheck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/installation"
)

const (
	pollEvery = 50 * time.Millisecond
	// patience is how long what is ending may take to end.
	patience = 10 * time.Second
)

// Snapshot is what exists on the machine at one moment, each thing by a name that stays
// the same while it exists.
type Snapshot map[string]bool

// Filter selects what is reported, for tests that share the machine with others, by the
// names in the report.
type Filter func(name string) bool

// sources list the kinds of things. wholeMachine: tests in a host of their own (package
// testhost) share them with everything else on the machine.
var sources = []struct {
	kind         string
	list         func() ([]string, error)
	wholeMachine bool
}{
	{"process", processes, false},
	{"network namespace", networkNamespaces, false},
	{"link", links, false},
	{"mount", mounts, false},
	{"loop device", loopDevices, true},
	{"nftables table", nftablesTables, false},
	{"control group", controlGroups, true},
}

// Own is the Filter of tests in a host of their own. Of what the whole machine shares it
// selects names that contain one of the marks, such as the tests' data directory or their
// installation's name.
func Own(marks ...string) Filter {
	return func(name string) bool {
		for _, source := range sources {
			if source.wholeMachine && strings.HasPrefix(name, source.kind+" ") {
				return slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(name, mark) })
			}
		}
		return true
	}
}

// Take lists what exists on the machine. It needs root to see everything.
func Take() (Snapshot, error) {
	snapshot := Snapshot{}
	for _, source := range sources {
		names, err := source.list()
		if err != nil {
			return nil, fmt.Errorf("list each %s: %w", source.kind, err)
		}
		for _, name := range names {
			snapshot[source.kind+" "+name] = true
		}
	}
	return snapshot, nil
}

// Left waits until everything that is not in the snapshot is gone, and returns what still
// exists when ctx ends, sorted. A nil filter selects everything.
func (s Snapshot) Left(ctx context.Context, filter Filter) ([]string, error) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		now, err := Take()
		if err != nil {
			return nil, err
		}
		left := s.newIn(now, filter)
		if len(left) == 0 {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return left, nil
		case <-poll.C:
		}
	}
}

// LeftByInstallation waits until nothing is left of the installation of a data
// directory that has stopped, as Left does with Own. It also reports network slots that
// the host agent has not taken down.
func (s Snapshot) LeftByInstallation(ctx context.Context, dataDir string) ([]string, error) {
	name, err := installation.ReadName(dataDir)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, fmt.Errorf("the installation in %s has no name", dataDir)
	}
	left, err := s.Left(ctx, Own(dataDir, name))
	if err != nil {
		return nil, err
	}
	slots, err := os.ReadDir(filepath.Join(dataDir, "network"))
	if err != nil {
		return nil, err
	}
	for _, slot := range slots {
		left = append(left, "network slot "+slot.Name())
	}
	return left, nil
}

// newIn lists what only a later snapshot has.
func (s Snapshot) newIn(later Snapshot, filter Filter) []string {
	var added []string
	for name := range later {
		if !s[name] && (filter == nil || filter(name)) {
			added = append(added, name)
		}
	}
	slices.Sort(added)
	return added
}

// Check fails a test that leaves something behind. Call it first: it then runs after the
// test's own cleanups.
func Check(t *testing.T, filter Filter) {
	t.Helper()
	before, err := Take()
	if err != nil {
		t.Fatalf("leak check: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left, err := before.Left(ctx, filter)
		if err != nil {
			t.Errorf("leak check: %v", err)
		}
		if len(left) > 0 {
			t.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
		}
	})
}
