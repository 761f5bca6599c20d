// Package installation runs a whole Wrenn, the built binary, in a data
// directory of its own: for the tests and the benchmark that look at it from
// outside.
package installation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const stopTimeout = 2 * time.Minute

// Installation is one data directory and, between Up and Down, the processes
// that serve it.
type Installation struct {
	// Binary is the wrenn program.
	Binary string
	// DataDir is what wrenn is given as --data-dir.
	DataDir string
	// Address is where it listens, host and port.
	Address string
	// APIKey is the first team's key; it is known once Up has returned.
	APIKey string
	// Settings are more environment variables for wrenn up.
	Settings []string
	// Output receives what wrenn up prints.
	Output io.Writer

	child *child
}

// New makes a data directory and picks a free port; nothing runs yet.
// Remove deletes the directory.
func New(output io.Writer) (*Installation, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("wrenn up needs root: run this as root")
	}
	binary, err := FindBinary()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "wrenn-e2e-")
	if err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	// Parts of Wrenn run as a user of their own and must get through.
	if err := os.Chmod(directory, 0o755); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return &Installation{Binary: binary, DataDir: directory, Address: address, Output: output}, nil
}

// FindBinary returns the program named by WRENN_BIN, else bin/wrenn of the
// repository this is run in.
func FindBinary() (string, error) {
	path := os.Getenv("WRENN_BIN")
	if path == "" {
		root, err := repositoryRoot()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "wrenn")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no wrenn program at %s: run make build", path)
	}
	return filepath.Abs(path)
}

// repositoryRoot is the nearest directory upwards that holds cmd/wrenn.
func repositoryRoot() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if info, err := os.Stat(filepath.Join(directory, "cmd", "wrenn")); err == nil && info.IsDir() {
			return directory, nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", errors.New("not inside Wrenn's repository: set WRENN_BIN")
		}
		directory = parent
	}
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// URL is the base URL of the API and of all sandboxes.
func (i *Installation) URL() string { return "http://" + i.Address }

// Domain is what sandbox host names end in.
func (i *Installation) Domain() string {
	_, port, _ := net.SplitHostPort(i.Address)
	return net.JoinHostPort("localhost", port)
}

// Environment is what the CLI and the official SDKs need to find this Wrenn.
func (i *Installation) Environment() []string {
	return append(os.Environ(),
		"E2B_API_KEY="+i.APIKey,
		"E2B_API_URL="+i.URL(),
		"E2B_SANDBOX_URL="+i.URL(),
		"E2B_DOMAIN="+i.Domain())
}

// Command prepares a wrenn command on this installation's data directory.
func (i *Installation) Command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, i.Binary, arguments...)
	command.Env = i.Environment()
	return command
}

// Up starts wrenn and returns once the API answers.
func (i *Installation) Up(ctx context.Context) error {
	if err := i.start(); err != nil {
		return fmt.Errorf("start wrenn up: %w", err)
	}
	if err := i.awaitReady(ctx); err != nil {
		return errors.Join(err, i.Down(context.WithoutCancel(ctx)))
	}
	key, err := os.ReadFile(filepath.Join(i.DataDir, "secrets", "api-key"))
	if err != nil {
		return errors.Join(fmt.Errorf("read the API key: %w", err), i.Down(context.WithoutCancel(ctx)))
	}
	i.APIKey = strings.TrimSpace(string(key))
	return nil
}

func (i *Installation) start() (err error) {
	command := exec.Command(i.Binary, "up", "--data-dir", i.DataDir, "--listen", i.Address)
	command.Env = append(os.Environ(), i.Settings...)
	command.Stdout, command.Stderr = i.Output, i.Output
	i.child, err = startChild(command)
	return err
}

func (i *Installation) awaitReady(ctx context.Context) error {
	// It tells other commands of itself last.
	told := filepath.Join(i.DataDir, "run", "instance.json")
	return i.child.await(ctx, func(ctx context.Context) error {
		if _, err := os.Stat(told); err != nil {
			return err
		}
		return healthy(ctx, i.URL())
	})
}

// Down runs wrenn down and waits for wrenn up to end; it kills what does not.
func (i *Installation) Down(ctx context.Context) error {
	if i.child == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	output, err := i.Command(ctx, "down", "--data-dir", i.DataDir).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("wrenn down: %w: %s", err, output)
	}
	select {
	case <-i.child.exited:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("wrenn up still runs %s after wrenn down", stopTimeout), i.child.command.Process.Kill())
		<-i.child.exited
	}
	i.child = nil
	return err
}

// Remove deletes the data directory of an installation that is down.
func (i *Installation) Remove() error {
	if err := os.RemoveAll(i.DataDir); err != nil {
		return fmt.Errorf("remove data directory: %w", err)
	}
	return nil
}
