package leakcheck

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestSnapshot_NamesWhatIsNew(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making links, mounts and tables needs root")
	}
	before, err := Take()
	require.NoError(t, err)
	directory := t.TempDir()
	made := map[string]func() (undo func() error, err error){}
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		group := mount + "/wrenn-leak/installation"
		if before["mount "+mount+" (cgroup2 of cgroup2)"] && unix.Access(mount, unix.W_OK) == nil {
			made["control group "+group] = func() (func() error, error) {
				return func() error { return errors.Join(os.Remove(group), os.Remove(filepath.Dir(group))) }, os.MkdirAll(group, 0o755)
			}
		}
	}
	maps.Copy(made, map[string]func() (undo func() error, err error){
		"link wrenn-leak (veth)": func() (func() error, error) {
			link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "wrenn-leak"}, PeerName: "wrenn-leak-peer"}
			return func() error { return netlink.LinkDel(link) }, netlink.LinkAdd(link)
		},
		"mount " + directory + " (tmpfs of leak)": func() (func() error, error) {
			return func() error { return unix.Unmount(directory, 0) }, unix.Mount("leak", directory, "tmpfs", 0, "")
		},
		"nftables table wrenn-leak": func() (func() error, error) {
			return func() error { return changeTable((*nftables.Conn).DelTable) },
				changeTable(func(c *nftables.Conn, table *nftables.Table) { c.AddTable(table) })
		},
	})
	for name, create := range made {
		undo, err := create()
		require.NoError(t, err, name)
		require.Contains(t, leftNow(t, before), name)
		require.NoError(t, undo(), name)
		require.NotContains(t, leftNow(t, before), name)
	}
}

func changeTable(change func(*nftables.Conn, *nftables.Table)) error {
	connection, err := nftables.New()
	if err != nil {
		return err
	}
	change(connection, &nftables.Table{Name: "wrenn-leak", Family: nftables.TableFamilyINet})
	return connection.Flush()
}

// leftNow does not wait for anything to go.
func leftNow(t *testing.T, before Snapshot) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	left, err := before.Left(ctx, nil)
	require.NoError(t, err)
	return left
}

func TestSnapshot_SeesAProcessByItsProgram(t *testing.T) {
	before, err := Take()
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "envd")
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(sleep, program))
	command := exec.Command(program, "300")
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(leftNow(t, before), "\n"), program+" 300")
	}, 5*time.Second, 10*time.Millisecond)

	require.NoError(t, command.Process.Kill())
	// Not waited for yet, it is a zombie, which does not count.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	left, err := before.Left(ctx, func(name string) bool { return strings.Contains(name, program) })
	require.NoError(t, err)
	require.Empty(t, left)
	require.Error(t, command.Wait())
}

func TestCheck_AcceptsATestThatCleansUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	directory := t.TempDir()
	Check(t, func(name string) bool { return strings.Contains(name, directory) })
	require.NoError(t, unix.Mount("leak", directory, "tmpfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(directory, 0)) })
}

func TestOwn_CountsWhatIsSharedOnlyWithAMark(t *testing.T) {
	own := Own("/tmp/wrenn-e2e-1", "k3x9")
	for name, want := range map[string]bool{
		"process qemu-system-x86 12, started at 5: qemu":              true,
		"network namespace wrenn-0":                                   true,
		"mount /run/netns/wrenn-0 (nsfs of nsfs)":                     true,
		"loop device loop0 of /tmp/wrenn-e2e-1/storage.img":           true,
		"loop device loop1 of /var/lib/wrenn/storage.img":             false,
		"control group /sys/fs/cgroup/wrenn/k3x9":                     true,
		"control group /sys/fs/cgroup/wrenn/another/isomebodyelse000": false,
	} {
		require.Equal(t, want, own(name), name)
	}
}
