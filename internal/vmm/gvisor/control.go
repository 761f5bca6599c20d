package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Calls of runsc's control server. Source: runsc/boot/controller.go in gVisor.
const (
	callSetNetwork = "containerManager.SetNetworkArgs"
	callStart      = "containerManager.StartRoot"
	callRestore    = "containerManager.Restore"
	callCheckpoint = "containerManager.Checkpoint"
	callPause      = "containerManager.Pause"
	callResume     = "containerManager.Resume"
	callSaveLayer  = "Fs.TarRootfsUpperLayer"
	callStacks     = "debug.Stacks"
)

// control is the control server of one sandbox. It serves every connection by itself, so
// each call has its own.
type control struct {
	// directory is the machine's run directory, opened: it is renamed when a guest that was
	// held ready becomes a sandbox, and its path may be longer than an address of a socket
	// can be.
	directory *os.File
	done      <-chan struct{} // closed when the sandbox has ended
}

func openControl(runDir string, done <-chan struct{}) (control, error) {
	directory, err := os.Open(runDir)
	if err != nil {
		return control{}, fmt.Errorf("open the run directory: %w", err)
	}
	return control{directory: directory, done: done}, nil
}

// callError is what the sandbox answers to a call that failed.
type callError struct{ method, message string }

func (e *callError) Error() string { return fmt.Sprintf("%s: %s", e.method, e.message) }

// call makes one call and sends files along with it. A call that the caller does not wait
// for is carried out all the same.
// Source: pkg/urpc in gVisor.
func (c control) call(ctx context.Context, method string, argument any, files []*os.File, result any) (err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
	}()
	connection, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to the sandbox: %w", err)
	}
	defer connection.Close()
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
		case <-c.done:
		case <-stop:
			return
		}
		_ = connection.SetDeadline(time.Unix(1, 0)) // it is closed in any case
	}()
	defer func() { close(stop); <-watched }()

	request, err := json.Marshal(map[string]any{"method": method, "arg": argument})
	if err != nil {
		return err
	}
	if err := send(connection, request, files); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	answer := struct {
		Success bool   `json:"success"`
		Err     string `json:"err"`
		Result  any    `json:"result"`
	}{Result: result}
	if err := json.NewDecoder(connection).Decode(&answer); err != nil {
		return fmt.Errorf("%s: read the answer: %w", method, err)
	}
	if !answer.Success {
		return &callError{method: method, message: answer.Err}
	}
	return nil
}

func (c control) connect(ctx context.Context) (*net.UnixConn, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", c.directory.Fd(), controlSocket))
	if err != nil {
		return nil, err
	}
	unixConnection, ok := connection.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("the control server is no socket"), connection.Close())
	}
	return unixConnection, nil
}

// send sends the request with the files' descriptors.
func send(connection *net.UnixConn, request []byte, files []*os.File) error {
	var rights []byte
	if len(files) > 0 {
		descriptors := make([]int, 0, len(files))
		for _, file := range files {
			descriptors = append(descriptors, int(file.Fd()))
		}
		rights = unix.UnixRights(descriptors...)
	}
	sent, _, err := connection.WriteMsgUnix(request, rights, nil)
	if err == nil && sent < len(request) {
		_, err = connection.Write(request[sent:])
	}
	return err
}
