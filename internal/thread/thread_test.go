package thread

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestRun_LeavesTheMainThreadAlone(t *testing.T) {
	t.Parallel()
	const runs = 200 // enough that one would meet the main thread, were it not kept
	var all sync.WaitGroup
	for range runs {
		all.Go(func() {
			err := Run(func() error {
				if unix.Gettid() == os.Getpid() {
					t.Error("it ran on the main thread")
				}
				return unix.Unshare(unix.CLONE_FS)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestRun_ReturnsTheErrorOfTheWork(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, Run(func() error { return os.ErrClosed }), os.ErrClosed)
}
