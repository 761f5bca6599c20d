// Package vmmtest holds every driver to what package vmm promises, with real
// machines that run the real guest image.
//
// A driver's own tests call Main from their TestMain and Run from one test:
//
//	func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m)) }
//
//	func TestDriver(t *testing.T) {
//		vmmtest.Run(t, func(t *testing.T) vmm.Driver { return newDriver(t) })
//	}
package vmmtest

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// suite is what all its tests share.
type suite struct {
	driver  vmm.Driver
	image   template.Image
	network *network.Pool
	dir     string // on a file system that clones files
	rootfs  string // the image's, in dir
	base    rest   // of a machine that was booted once
	made    int    // directories
}

// Run tests one driver. It boots one machine and restores all others from it,
// a few at a time; it needs root.
func Run(t *testing.T, open func(t *testing.T) vmm.Driver) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real machines in network namespaces")
	}
	s := &suite{driver: open(t), image: findImage(t)}
	s.openStorage(t)
	s.openNetwork(t)
	s.base = restIn(s.directory(t))
	if !t.Run("Boot_AnswersAndIsPausedToDisk", s.testBoot) {
		return
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Boot_RefusesWhatIsNotThere", s.testBootRefusals},
		{"Pause_StopsTheGuestUntilItIsResumed", s.testPause},
		{"Pause_ThatNobodyWaitedForCanBeTakenBack", s.testPauseAbandoned},
		{"Restore_GoesOnWithMemoryProcessesAndDisk", s.testRestore},
		{"Restore_LeavesTheSnapshotAsItWas", s.testSnapshotUnchanged},
		{"Restore_GivesEachCloneMemoryAndDiskOfItsOwn", s.testClones},
		{"Restore_RefusesWhatIsNotThereOrBroken", s.testRestoreRefusals},
		{"Restore_GivesUpWithItsContext", s.testRestoreCancelled},
		{"Restore_StartsTheMachineInItsControlGroup", s.testCgroup},
		{"Restore_LeavesTheVMMNothingOfTheHost", s.testConfinement},
		{"Restore_GivesTheGuestMetadataOfItsOwn", s.testMetadata},
		{"Restore_KeepsToALimitOfTheNetwork", s.testNetworkLimit},
		{"Snapshot_OfARestoredMachineHoldsItsChanges", s.testSnapshotOfRestored},
		{"Snapshot_IsWholeEachTime", s.testSnapshotAgain},
		{"Snapshot_OfABootedMachineIsWholeEachTime", s.testSnapshotOfBootedAgain},
		{"Snapshot_FailsAndTheGuestRunsOn", s.testSnapshotFails},
		{"Kill_LeavesNothingRunning", s.testKill},
		{"Done_TellsOfADeathAndWhy", s.testDeath},
		{"Done_TellsThatTheGuestPoweredItselfOff", s.testPowerOff},
		{"Adopt_TakesOverARunningMachine", s.testAdopt},
		{"Adopt_RefusesOneThatEnded", s.testAdoptEnded},
		{"Processes_FindsMachinesByTheirDirectory", s.testProcesses},
	} {
		t.Run(test.name, test.run)
	}
}

// openStorage finds a place that clones files, as an installation would.
func (s *suite) openStorage(t *testing.T) {
	t.Helper()
	storage, err := disk.OpenStorage(t.Context(), t.TempDir(), func(line string) { t.Log(line) })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	s.dir = storage.Dir
	s.rootfs = filepath.Join(s.dir, RootfsFile)
	require.NoError(t, s.image.WriteDisk(t.Context(), s.rootfs))
}

func (s *suite) openNetwork(t *testing.T) {
	t.Helper()
	pool, err := network.NewPool(t.Context(), network.Config{StateDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	s.network = pool
}

// directory makes one for the test's own use, gone at its end.
func (s *suite) directory(t *testing.T) string {
	t.Helper()
	s.made++
	directory := filepath.Join(s.dir, fmt.Sprintf("vm-%d", s.made))
	require.NoError(t, os.Mkdir(directory, 0o700))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	return directory
}
