package permissions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// actingAs is whose files the calling thread may open.
func actingAs() uint32 {
	const nobodyAtAll = ^uintptr(0) // changes nothing, and answers what was
	id, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, nobodyAtAll, 0, 0)
	return uint32(id)
}

func requireThreadEnds(t *testing.T, thread int) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return errors.Is(err, fs.ErrNotExist)
	}, pollFor, pollEvery, "the thread is still there, and the user's")
}

// TestDo_SharesItsThreadWithNobody lets many goroutines look for a thread while
// the user's only waits.
func TestDo_SharesItsThreadWithNobody(t *testing.T) {
	user := nobody(t)
	var all sync.WaitGroup
	inside, leave := make(chan int), make(chan struct{})
	all.Go(func() {
		err := user.Do(func() error {
			inside <- unix.Gettid()
			<-leave
			if id := actingAs(); id != user.UID {
				return fmt.Errorf("work went on as %d", id)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	thread := <-inside
	require.NotEqual(t, os.Getpid(), thread, "the main thread stands for the program")
	var others sync.WaitGroup
	for range 500 {
		others.Go(func() {
			for range 10 {
				if unix.Gettid() == thread || actingAs() != 0 {
					t.Error("a goroutine of the agent's ran on the user's thread")
				}
				runtime.Gosched()
			}
		})
	}
	others.Wait()
	close(leave)
	all.Wait()
	requireThreadEnds(t, thread)
}

func TestDo_ThrowsItsThreadAwayHoweverWorkEnds(t *testing.T) {
	user := nobody(t)
	for name, end := range map[string]func(){
		"by returning": func() {},
		"by a panic":   func() { panic("boom") },
		"by leaving":   runtime.Goexit,
	} {
		thread := 0
		func() {
			defer func() { _ = recover() }()
			_ = user.Do(func() error {
				thread = unix.Gettid()
				end()
				return nil
			})
		}()
		require.NotZero(t, thread, name)
		requireThreadEnds(t, thread)
		require.Zero(t, actingAs(), name)
	}
}

// What work starts is not the user's, which is why it must start nothing.
func TestDo_GivesItsPermissionsToNoGoroutineOfWork(t *testing.T) {
	user := nobody(t)
	require.NoError(t, user.Do(func() error {
		ids := make(chan uint32)
		go func() { ids <- actingAs() }()
		if id := <-ids; id != 0 {
			return fmt.Errorf("a thread with the permissions of %d was handed on", id)
		}
		return nil
	}))
}

func TestDo_WithinDoNeverGivesRootBack(t *testing.T) {
	user, root := nobody(t), &User{Name: "root"}
	err := user.Do(func() error {
		return root.Do(func() error { _, err := os.ReadFile("/etc/shadow"); return err })
	})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NoError(t, user.Do(func() error {
		return user.Do(func() error { _, err := os.ReadFile("/etc/passwd"); return err })
	}))
}

func TestDo_ReturnsErrorsAsTheyAre(t *testing.T) {
	failure := fmt.Errorf("outer: %w", errors.Join(errors.New("one"), &fs.PathError{Op: "open", Path: "/x", Err: unix.EIO}))
	got := nobody(t).Do(func() error { return failure })
	require.Same(t, failure, got)
	var path *fs.PathError
	require.ErrorAs(t, got, &path)
	require.ErrorIs(t, got, unix.EIO)
}
