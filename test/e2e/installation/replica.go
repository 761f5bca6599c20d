package installation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Replica is one more control plane of an installation, beside the one that
// wrenn up keeps: over the same database and the same host.
type Replica struct {
	// Address is where it listens, host and port.
	Address string

	child *child
}

// StartReplica returns once the replica answers. Its log goes to output.
func (i *Installation) StartReplica(ctx context.Context, output io.Writer) (*Replica, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	// PostgreSQL and the sockets know the user that the first one runs as.
	info, err := os.Stat(filepath.Join(i.DataDir, "control-plane"))
	if err != nil {
		return nil, fmt.Errorf("find the control plane's user: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	run, secrets := filepath.Join(i.DataDir, "run"), filepath.Join(i.DataDir, "secrets")
	command := exec.Command(filepath.Join(filepath.Dir(i.Binary), "wrenn-control-plane"))
	command.Env = append(os.Environ(), i.Settings...)
	command.Env = append(command.Env,
		"DATABASE_URL=postgres://wrenn@/wrenn?host="+filepath.Join(run, "postgres"),
		"WRENN_LISTEN="+address,
		"WRENN_HOST_AGENT_SOCKET="+filepath.Join(run, "host-agent.sock"),
		"WRENN_HOST_TRAFFIC_SOCKET="+filepath.Join(run, "host-traffic.sock"),
		"WRENN_SECRET_KEY_FILE="+filepath.Join(secrets, "control-plane.key"),
	)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	child, err := startChild(command)
	if err != nil {
		return nil, fmt.Errorf("start a replica: %w", err)
	}
	r := &Replica{Address: address, child: child}
	if err := child.await(ctx, func(ctx context.Context) error { return healthy(ctx, "http://"+address) }); err != nil {
		return nil, errors.Join(fmt.Errorf("start a replica: %w", err), r.Stop())
	}
	return r, nil
}

// Stop lets the replica finish what it is at, and waits for its end.
func (r *Replica) Stop() error {
	if err := r.child.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-r.child.exited
	return r.child.err
}

// Kill ends the replica at once, and waits for its end.
func (r *Replica) Kill() error {
	if err := r.child.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-r.child.exited
	return nil
}
