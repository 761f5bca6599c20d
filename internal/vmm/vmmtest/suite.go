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

// suite is what the cases of one run share.
type suite struct {
	t       *testing.T // of the whole run
	driver  vmm.Driver
	image   template.Image
	network *network.Pool
	dir     string // on a file system that clones files
	rootfs  string // the image's, in dir
	// layered is Capabilities.Layers, and wrenn then an EROFS image of Wrenn's directory.
	layered bool
	wrenn   string
	made    int // directories

	baseTried, baseMade bool
	baseSnapshot        stored // see base
}

// cases are in the order in which they run. None depends on another.
var cases = []struct {
	name string
	run  func(*suite, *testing.T)
}{
	{"Boot_AnswersAndIsPausedToDisk", (*suite).testBoot},
	{"Boot_RefusesWhatIsNotThere", (*suite).testBootRefusals},
	{"Pause_StopsTheGuestUntilItIsResumed", (*suite).testPause},
	{"Pause_IsUndoneByResumeWhenItsCallerGaveUp", (*suite).testPauseAbandoned},
	{"Restore_KeepsMemoryProcessesAndDisk", (*suite).testRestore},
	{"Restore_LeavesTheSnapshotUnchanged", (*suite).testSnapshotUnchanged},
	{"Restore_GivesEachCloneMemoryAndDiskOfItsOwn", (*suite).testClones},
	{"Restore_RefusesWhatIsMissingOrBroken", (*suite).testRestoreRefusals},
	{"Restore_EndsWithItsContext", (*suite).testRestoreCancelled},
	{"Restore_StartsTheMachineInItsControlGroup", (*suite).testCgroup},
	{"Restore_ConfinesTheVMM", (*suite).testConfinement},
	{"Restore_GivesTheGuestMetadataOfItsOwn", (*suite).testMetadata},
	{"Restore_LimitsTheNetwork", (*suite).testNetworkLimit},
	{"Snapshot_OfARestoredMachineHoldsItsChanges", (*suite).testSnapshotOfRestored},
	{"Snapshot_IsCompleteEachTime", (*suite).testSnapshotAgain},
	{"Snapshot_OfABootedMachineIsCompleteEachTime", (*suite).testSnapshotOfBootedAgain},
	{"Snapshot_FailsAndTheGuestRunsOn", (*suite).testSnapshotFails},
	{"SaveLayer_BootsWithWhatTheGuestChanged", (*suite).testLayer},
	{"Layer_IsLimited", (*suite).testLayerLimit},
	{"Kill_LeavesNothingRunning", (*suite).testKill},
	{"Done_ReportsADeathAndItsReason", (*suite).testDeath},
	{"Done_ReportsThatTheGuestPoweredOff", (*suite).testPowerOff},
	{"Adopt_TakesOverARunningMachine", (*suite).testAdopt},
	{"Adopt_RefusesOneThatEnded", (*suite).testAdoptEnded},
	{"Processes_FindsMachinesByTheirDirectory", (*suite).testProcesses},
}

// Cases are the names of the subtests of Run. Any selection of them can be run.
func Cases() []string {
	var names []string
	for _, each := range cases {
		names = append(names, each.name)
	}
	return names
}

// Run tests one driver. It boots one machine and restores most others from it; it
// needs root.
func Run(t *testing.T, open func(t *testing.T) vmm.Driver) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real machines in network namespaces")
	}
	s := &suite{t: t, driver: open(t), image: findImage(t)}
	s.layered = vmm.CapabilitiesOf(s.driver).Layers
	s.openStorage()
	s.openNetwork()
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) { each.run(s, t) })
	}
}

// base is a snapshot of a machine that was booted, made by the first case that needs
// it.
func (s *suite) base(t *testing.T) stored {
	t.Helper()
	if !s.baseTried {
		s.baseTried = true
		s.makeBase(t)
		s.baseMade = true
	}
	require.True(t, s.baseMade, "an earlier case could not boot the machine that the others are restored from")
	return s.baseSnapshot
}

// openStorage makes a directory that clones files, as an installation does.
func (s *suite) openStorage() {
	storage, err := disk.OpenStorage(s.t.Context(), s.t.TempDir(), func(line string) { s.t.Log(line) })
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, storage.Close()) })
	s.dir = storage.Dir
	s.rootfs = filepath.Join(s.dir, RootfsFile)
	if !s.layered {
		require.NoError(s.t, s.image.WriteDisk(s.t.Context(), s.rootfs))
		return
	}
	s.wrenn = filepath.Join(s.dir, "wrenn")
	require.NoError(s.t, s.image.WriteEROFS(s.t.Context(), s.rootfs))
	require.NoError(s.t, s.image.WriteDirectory(s.t.Context(), s.wrenn))
}

// shareDisk gives a machine, or a snapshot, the disk of another: a clone, or the same file
// where it is never written to.
func (s *suite) shareDisk(t *testing.T, from, to string) {
	t.Helper()
	if s.layered {
		require.NoError(t, os.Link(from, to))
		return
	}
	require.NoError(t, disk.Clone(from, to))
}

func (s *suite) openNetwork() {
	pool, err := network.NewPool(s.t.Context(), network.Config{StateDir: s.t.TempDir(), PacketLinks: s.layered, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, pool.Close()) })
	s.network = pool
}

// directory makes a directory that is removed at the test's end.
func (s *suite) directory(t *testing.T) string {
	t.Helper()
	s.made++
	directory := filepath.Join(s.dir, fmt.Sprintf("vm-%d", s.made))
	require.NoError(t, os.Mkdir(directory, 0o700))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	return directory
}
