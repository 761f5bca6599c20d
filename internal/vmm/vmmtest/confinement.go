package vmmtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// requireMemoryIsReadOnly wants the VMM to have the memory file open for reading only:
// all clones share it, and a guest that breaks out must not change it.
func (g *guest) requireMemoryIsReadOnly(t *testing.T) {
	t.Helper()
	memory, err := os.Stat(g.memoryPath)
	require.NoError(t, err)
	for number, opened := range g.descriptors(t) {
		if !os.SameFile(memory, opened) {
			continue
		}
		info := filepath.Join("/proc", strconv.Itoa(g.machine.Process().ID), "fdinfo", number)
		flags, err := strconv.ParseUint(field(t, info, "flags")[0], 8, 32)
		require.NoError(t, err)
		require.EqualValues(t, unix.O_RDONLY, flags&unix.O_ACCMODE, "descriptor %s is the guest's memory and can be written to", number)
	}
}

// requireHasNoneOf wants the VMM to have no file open of a snapshot that it wrote, a moment
// after it has said that it is written.
func (s *suite) requireHasNoneOf(t *testing.T, g *guest, taken stored) {
	t.Helper()
	paths := []string{taken.MemoryPath, taken.DevicesPath}
	if !s.layered { // machines and snapshots share the file of the disk
		paths = append(paths, taken.diskPath)
	}
	require.Eventually(t, func() bool {
		number, path := g.openOf(t, paths)
		if number != "" {
			t.Logf("descriptor %s is %s", number, path)
		}
		return number == ""
	}, noticeTimeout, time.Millisecond, "a file of the snapshot stays open")
}

// openOf returns a descriptor of the VMM that is one of the files; an empty number if none
// is.
func (g *guest) openOf(t *testing.T, paths []string) (number, path string) {
	t.Helper()
	opened := g.descriptors(t)
	for _, path := range paths {
		file, err := os.Stat(path)
		require.NoError(t, err)
		for number, one := range opened {
			if os.SameFile(file, one) {
				return number, path
			}
		}
	}
	return "", ""
}

// descriptors are the files that the VMM has open, by number.
func (g *guest) descriptors(t *testing.T) map[string]os.FileInfo {
	t.Helper()
	directory := filepath.Join("/proc", strconv.Itoa(g.machine.Process().ID), "fd")
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	found := make(map[string]os.FileInfo)
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(directory, entry.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // it was closed meanwhile
		}
		require.NoError(t, err)
		found[entry.Name()] = info
	}
	return found
}

// field reads "name: value ..." from one of a process's files in /proc.
func field(t *testing.T, path, name string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.Fields(value)
		}
	}
	require.Fail(t, "no such field", "%s has no %s", path, name)
	return nil
}

// requireOnlyItsDescriptors wants every open file of the VMM to be the machine's: none
// inherited, and none of another machine. Files are compared by identity, because a jail
// has them, and devices of its own, under names that are removed once the machine runs.
func (s *suite) requireOnlyItsDescriptors(t *testing.T, g *guest) {
	t.Helper()
	const ofTheKernel = "anon_inode:" // events, timers, signals, KVM's own
	const output = "/memfd:vmm-output (deleted)"
	devices := []string{"/dev/null", "/dev/net/tun", "/dev/kvm", "/dev/urandom"}
	files := []string{g.spec.DiskPath, g.memoryPath}
	most := 2 // sockets: one that listens, one that we are connected by
	if s.layered {
		// Its own program, from which it was started, is open for reading.
		files = append(files, s.wrenn, filepath.Join("/proc", strconv.Itoa(g.machine.Process().ID), "exe"))
		most++ // the guest's device
	}
	directory := filepath.Join("/proc", strconv.Itoa(g.machine.Process().ID), "fd")
	sockets := 0
	for number, opened := range g.descriptors(t) {
		target, err := os.Readlink(filepath.Join(directory, number))
		require.NoError(t, err)
		switch {
		case strings.HasPrefix(target, "socket:"):
			sockets++
		case strings.HasPrefix(target, ofTheKernel), target == output:
		case s.layered && strings.HasSuffix(target, " (deleted)"):
			// Memory, and the layer, which has no name.
			require.True(t, strings.HasPrefix(target, "/memfd:") || strings.HasPrefix(target, g.spec.RunDir+"/"), "descriptor %s is %s", number, target)
		case s.layered && strings.HasPrefix(target, "pipe:"):
			require.NotContains(t, ownDescriptors(t), target, "descriptor %s is a pipe of ours", number) // but of its own threads
		case opened.Mode()&os.ModeCharDevice != 0:
			require.True(t, isOneOf(t, opened, devices, sameDevice), "descriptor %s is the device %s", number, target)
		default:
			require.True(t, isOneOf(t, opened, files, os.SameFile), "descriptor %s is %s", number, target)
		}
	}
	require.LessOrEqual(t, sockets, most, "sockets")
}

// ownDescriptors are what this process has open, as /proc names it.
func ownDescriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	var targets []string
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}

func isOneOf(t *testing.T, opened os.FileInfo, paths []string, same func(a, b os.FileInfo) bool) bool {
	t.Helper()
	return slices.ContainsFunc(paths, func(path string) bool {
		file, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			return false // no KVM
		}
		require.NoError(t, err)
		return same(file, opened)
	})
}

// sameDevice reports whether two files are the same device, perhaps under two names.
func sameDevice(a, b os.FileInfo) bool {
	return a.Sys().(*syscall.Stat_t).Rdev == b.Sys().(*syscall.Stat_t).Rdev
}

// testConfinement reads in /proc that each VMM has a user of its own, no way to
// another user, and no view of the host's files and namespaces.
func (s *suite) testConfinement(t *testing.T) {
	inherited := make([]int, 2)
	require.NoError(t, unix.Pipe2(inherited, 0)) // a descriptor without close-on-exec
	t.Cleanup(func() { require.NoError(t, errors.Join(unix.Close(inherited[0]), unix.Close(inherited[1]))) })
	g, other := s.restore(t, s.base(t)), s.restore(t, s.base(t))
	require.NotEqual(t, g.spec.User, other.spec.User)
	for _, each := range []*guest{g, other} {
		s.requireConfined(t, each)
		s.requireOnlyItsDescriptors(t, each)
	}
}

// ownTracer is CAP_SYS_PTRACE, which runsc keeps in its own user namespace: there it is no
// more than what a process may do to others of its user.
const ownTracer = 1 << 19

func (s *suite) requireConfined(t *testing.T, g *guest) {
	t.Helper()
	allowed := []string{fmt.Sprintf("%016x", 0)}
	namespaces := []string{"ipc", "mnt", "net", "pid", "uts"}
	if s.layered {
		allowed, namespaces = append(allowed, fmt.Sprintf("%016x", ownTracer)), append(namespaces, "user")
	}
	process := filepath.Join("/proc", strconv.Itoa(g.machine.Process().ID))
	threads, err := filepath.Glob(filepath.Join(process, "task", "*", "status"))
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, status := range threads {
		for _, name := range []string{"Uid", "Gid"} {
			ids := field(t, status, name)
			require.NotContains(t, ids, "0", "%s of %s", name, status)
			require.Equal(t, []string{ids[0], ids[0], ids[0], ids[0]}, ids, "%s of %s can be changed back", name, status)
		}
		require.Equal(t, strconv.Itoa(g.spec.User), field(t, status, "Uid")[0], status)
		for _, group := range field(t, status, "Groups") {
			require.Equal(t, field(t, status, "Gid")[0], group, "%s has a group besides its own", status)
		}
		for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			require.Contains(t, allowed, field(t, status, name)[0], "%s of %s", name, status)
		}
		require.Equal(t, "1", field(t, status, "NoNewPrivs")[0], status)
		require.Equal(t, strconv.Itoa(unix.SECCOMP_MODE_FILTER), field(t, status, "Seccomp")[0], status)
	}
	for _, namespace := range namespaces {
		ours, err := os.Readlink(filepath.Join("/proc/self/ns", namespace))
		require.NoError(t, err)
		its, err := os.Readlink(filepath.Join(process, "ns", namespace))
		require.NoError(t, err)
		require.NotEqual(t, ours, its, namespace)
	}
	network, err := os.Stat(g.spec.NetworkNamespace)
	require.NoError(t, err)
	its, err := os.Stat(filepath.Join(process, "ns/net"))
	require.NoError(t, err)
	// A layered machine has a socket of the slot's namespace, and is in one without devices.
	require.Equal(t, !s.layered, os.SameFile(network, its), "it is in another network namespace")
	s.requireEmptyRoot(t, filepath.Join(process, "root"))
}

// requireEmptyRoot wants a process's root directory to hold at most the socket it listens
// on; that of a layered machine also the host's time zone, and an empty directory.
func (s *suite) requireEmptyRoot(t *testing.T, root string) {
	t.Helper()
	var allowed []string
	if s.layered {
		allowed = []string{root + "/etc", root + "/etc/localtime", root + "/proc"}
	}
	var seen []string
	require.NoError(t, filepath.WalkDir(root+"/", func(path string, entry os.DirEntry, err error) error {
		if err == nil && path != root+"/" && entry.Type() != os.ModeSocket && !slices.Contains(allowed, path) {
			seen = append(seen, path)
		}
		return err
	}))
	require.Empty(t, seen)
}
