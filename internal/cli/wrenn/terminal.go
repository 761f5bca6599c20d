package wrenn

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"git.omukk.dev/wrenn/sandbox/gen/process"
)

// attachTerminal connects this terminal to the command's: it sends keys, including
// Ctrl-C, unchanged, and every change of the window's size.
func (e *execution) attachTerminal(ctx context.Context, remote *remoteProcess) (restore func(), err error) {
	before, err := term.MakeRaw(int(e.Input.Fd()))
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	// As with a pipe, the read ends only with the program.
	go remote.feed(ctx, e.Input, remote.sendKeys, e.Errors)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	following, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		remote.followSize(following, e.Input, resized)
	}()
	return func() {
		signal.Stop(resized)
		stop()
		<-done
		if err := term.Restore(int(e.Input.Fd()), before); err != nil {
			fmt.Fprintf(e.Errors, "restore the terminal: %v\n", err)
		}
	}, nil
}

// followSize sends every change of the terminal's size.
func (r *remoteProcess) followSize(ctx context.Context, terminal *os.File, resized <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-resized:
		}
		size, err := windowSize(terminal)
		if err != nil {
			return
		}
		request := connect.NewRequest(&process.UpdateRequest{Process: r.selector, Pty: &process.PTY{Size: size}})
		if _, err := r.client.Update(ctx, request); err != nil {
			return // the command has ended, and its end is being reported
		}
	}
}

func (r *remoteProcess) sendKeys(ctx context.Context, data []byte) error {
	return r.send(ctx, &process.ProcessInput{Input: &process.ProcessInput_Pty{Pty: data}})
}

func windowSize(terminal *os.File) (*process.PTY_Size, error) {
	columns, rows, err := term.GetSize(int(terminal.Fd()))
	if err != nil {
		return nil, fmt.Errorf("ask for the terminal's size: %w", err)
	}
	return &process.PTY_Size{Cols: uint32(columns), Rows: uint32(rows)}, nil
}
