package installation

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	// readyTimeout leaves room for a machine that has no base image yet.
	readyTimeout = 10 * time.Minute
	pollEvery    = 50 * time.Millisecond
)

// child is a program that runs as long as this process does, at most.
type child struct {
	command *exec.Cmd
	exited  chan struct{} // closed when command has ended, after err is set
	err     error
}

// startChild has the program told to stop when this process dies, whatever it
// dies of. For the kernel the child's parent is the thread that made it, so one
// thread is kept for it.
func startChild(command *exec.Cmd) (*child, error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A terminal's Ctrl-C must not reach it past this process.
	command.SysProcAttr.Setpgid, command.SysProcAttr.Pdeathsig = true, syscall.SIGTERM
	c := &child{command: command, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = command.Wait()
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// await asks until the answer is nil.
func (c *child) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	name := filepath.Base(c.command.Path)
	for {
		last := ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w", name, readyTimeout, last)
		case <-c.exited:
			return fmt.Errorf("%s ended before it was ready: %w", name, c.err)
		case <-poll.C:
		}
	}
}

// healthy asks a control plane how it is.
func healthy(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("health is %s", response.Status)
	}
	return nil
}
