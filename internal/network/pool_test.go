package network

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var testRange = netip.MustParsePrefix("10.231.7.0/24")

func newTestPool(t *testing.T, stateDir string) *Pool {
	t.Helper()
	requireRoot(t)
	pool, err := NewPool(t.Context(), Config{StateDir: stateDir, Range: testRange, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return pool
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}

func acquire(t *testing.T, pool *Pool) *Slot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	slot, err := pool.Acquire(ctx, true)
	require.NoError(t, err)
	return slot
}

func TestPool_GivesEverySlotItsOwnNetwork(t *testing.T) {
	pool := newTestPool(t, t.TempDir())
	defer func() { require.NoError(t, pool.Close()) }()
	first, second := acquire(t, pool), acquire(t, pool)
	require.NotEqual(t, first.Address(), second.Address())
	require.NotEqual(t, first.Namespace(), second.Namespace())
	for _, slot := range []*Slot{first, second} {
		require.True(t, testRange.Contains(slot.Address()))
		require.NoError(t, inNamespace(slot.namespaceName(), func() error {
			_, err := netlink.LinkByName(TapDevice)
			return err
		}))
		pool.Release(slot)
	}
}

func TestPool_GivesEveryVMAUserOfItsOwn(t *testing.T) {
	stateDir := t.TempDir()
	pool := newTestPool(t, stateDir)
	first, second := acquire(t, pool), acquire(t, pool)
	require.NotEqual(t, first.User(), second.User())
	for _, slot := range []*Slot{first, second} {
		require.GreaterOrEqual(t, slot.User(), DefaultFirstUser)
		require.Less(t, slot.User(), DefaultFirstUser+128, "one for each slot of the range")
	}
	pool.Leave()
	pool = newTestPool(t, stateDir)
	defer func() { require.NoError(t, pool.Close()) }()
	adopted, err := pool.Adopt(first.Name())
	require.NoError(t, err)
	require.Equal(t, first.User(), adopted.User())
	other := acquire(t, pool)
	require.NotContains(t, []int{first.User(), second.User()}, other.User(), "the other VM may still run")
	pool.Release(adopted)
	pool.Release(other)
	require.NoError(t, pool.RemoveLeftovers())
}

func TestNewPool_RefusesUsersThatAreTheSystems(t *testing.T) {
	for _, first := range []int{-1, 1000, 1<<31 - 100} {
		_, err := NewPool(t.Context(), Config{StateDir: t.TempDir(), Range: testRange, FirstUser: first, Log: slog.New(slog.DiscardHandler)})
		require.ErrorIs(t, err, ErrUsers)
	}
}

func TestPool_CloseLeavesNothingBehind(t *testing.T) {
	stateDir := t.TempDir()
	pool := newTestPool(t, stateDir)
	slot := acquire(t, pool)
	device := device(t, slot)
	pool.Release(slot)
	require.NoError(t, pool.Close())
	requireGone(t, device)
	require.NoFileExists(t, slot.Namespace())
	records, err := os.ReadDir(stateDir)
	require.NoError(t, err)
	require.Empty(t, records)
}

func TestPool_CleansUpAfterOneThatCrashed(t *testing.T) {
	stateDir := t.TempDir()
	pool := newTestPool(t, stateDir)
	orphan := acquire(t, pool)
	require.NoError(t, pool.Close()) // the slot was never released
	require.FileExists(t, filepath.Join(stateDir, filepath.Base(pool.record(orphan.index))))

	next := newTestPool(t, stateDir)
	defer func() { require.NoError(t, next.Close()) }()
	device := device(t, orphan)
	require.NoError(t, next.RemoveLeftovers())
	requireGone(t, device)
	_, err := next.Adopt(orphan.Name())
	require.ErrorIs(t, err, ErrNoSuchSlot)
}

func TestDeleteNamespace_TakesANameThatNoNamespaceIsBehind(t *testing.T) {
	requireRoot(t)
	const name = "wrenn-half"
	path := filepath.Join(namespaceDirectory, name)
	require.NoError(t, inNewNamespace(name, func() error { return nil }))
	require.NoError(t, unix.Unmount(path, unix.MNT_DETACH)) // as after a process that died in between
	require.FileExists(t, path)
	require.NoError(t, deleteNamespace(name))
	require.NoFileExists(t, path)
	require.NoError(t, deleteNamespace(name))
}

func TestPool_AdoptsWhatAnEarlierOneHandedOut(t *testing.T) {
	stateDir := t.TempDir()
	pool := newTestPool(t, stateDir)
	kept, orphan := acquire(t, pool), acquire(t, pool)
	pool.Leave()
	require.FileExists(t, kept.Namespace())

	next := newTestPool(t, stateDir)
	defer func() { require.NoError(t, next.Close()) }()
	adopted, err := next.Adopt(kept.Name())
	require.NoError(t, err)
	require.Equal(t, kept.Address(), adopted.Address())
	fresh := acquire(t, next)
	device := device(t, orphan)
	require.NoError(t, next.RemoveLeftovers())
	requireGone(t, device)
	for _, slot := range []*Slot{adopted, fresh} {
		require.FileExists(t, slot.Namespace())
		next.Release(slot)
	}
	for _, name := range []string{"", "wrenn-", "wrenn-x", "wrenn-99", "../wrenn-0"} {
		_, err := next.Adopt(name)
		require.ErrorIs(t, err, ErrNoSuchSlot, name)
	}
}

func TestPool_RemovesNoSlotThatIsBeingMade(t *testing.T) {
	pool := newTestPool(t, t.TempDir())
	defer func() { require.NoError(t, pool.Close()) }()
	cleaning, stop := context.WithCancel(t.Context())
	cleaned := make(chan error, 1)
	go func() {
		var err error
		for cleaning.Err() == nil && err == nil {
			err = pool.RemoveLeftovers()
		}
		cleaned <- err
	}()
	for range 2 * fewestReady {
		slot := acquire(t, pool)
		require.FileExists(t, slot.Namespace())
		pool.Release(slot)
	}
	stop()
	require.NoError(t, <-cleaned)
}

func TestEnableForwarding_IsUndoneByThePoolAfterACrash(t *testing.T) {
	requireRoot(t)
	const setting = "/proc/sys/net/ipv4/ip_forward"
	stateDir := t.TempDir()
	require.NoError(t, inNewNamespace("wrenn-test-forwarding", func() error {
		if err := os.WriteFile(setting, []byte("0"), 0); err != nil {
			return err
		}
		if _, err := enableForwarding(stateDir); err != nil { // and it crashes
			return err
		}
		restore, err := enableForwarding(stateDir)
		if err != nil {
			return err
		}
		during, err := os.ReadFile(setting)
		require.NoError(t, err)
		require.Equal(t, "1\n", string(during))
		require.NoError(t, restore())
		after, err := os.ReadFile(setting)
		require.NoError(t, err)
		require.Equal(t, "0\n", string(after))
		return nil
	}))
	require.NoError(t, deleteNamespace("wrenn-test-forwarding"))
}

// device is a slot's identity: its name may be another's as soon as it is gone.
func device(t *testing.T, slot *Slot) int {
	t.Helper()
	link, err := netlink.LinkByName(slot.hostDevice())
	require.NoError(t, err)
	return link.Attrs().Index
}

func requireGone(t *testing.T, device int) {
	t.Helper()
	_, err := netlink.LinkByIndex(device)
	require.ErrorAs(t, err, &netlink.LinkNotFoundError{})
}
