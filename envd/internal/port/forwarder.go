package port

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
)

// Groups puts a process into the control group of its class.
type Groups interface {
	Start(class cgroups.Class, attributes *syscall.SysProcAttr, start func() error) error
}

// forwarders runs one socat for each server on loopback.
type forwarders struct {
	outside netip.Addr
	groups  Groups
	log     *slog.Logger
	running map[listener]*forwarder
	missing bool // socat cannot be started, which is logged once
}

// forwarder is one socat, in a process group of its own with the processes it forks.
type forwarder struct {
	command *exec.Cmd
	started time.Time
	ended   chan struct{} // closed when the process was reaped
}

// retryEvery is the delay before socat is started again after it ended, as it does if
// another server has the port on the guest's address.
const retryEvery = 15 * time.Second

func newForwarders(outside netip.Addr, groups Groups, log *slog.Logger) *forwarders {
	return &forwarders{outside: outside, groups: groups, log: log, running: make(map[listener]*forwarder)}
}

// follow starts and stops forwarders so that there is one for each listener.
func (f *forwarders) follow(listening map[listener]struct{}) {
	for server, running := range f.running {
		if _, still := listening[server]; !still {
			running.stop()
			delete(f.running, server)
		}
	}
	for server := range listening {
		if running, known := f.running[server]; known && (!running.hasEnded() || time.Since(running.started) < retryEvery) {
			continue
		}
		started, err := f.start(server)
		if err != nil {
			if !f.missing {
				f.log.Error("forward to a server on loopback", "port", server.port, "error", err)
			}
			f.missing = true
			return
		}
		f.running[server] = started
	}
}

func (f *forwarders) stopAll() {
	for server, running := range f.running {
		running.stop()
		delete(f.running, server)
	}
}

func (f *forwarders) start(server listener) (*forwarder, error) {
	inside := fmt.Sprintf("TCP4:127.0.0.1:%d", server.port)
	if server.ipv6 {
		inside = fmt.Sprintf("TCP6:[::1]:%d", server.port)
	}
	outside := fmt.Sprintf("TCP4-LISTEN:%d,bind=%s,reuseaddr,fork", server.port, f.outside)
	command := exec.Command("socat", outside, inside)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := f.groups.Start(cgroups.Socat, command.SysProcAttr, command.Start); err != nil {
		return nil, err
	}
	started := &forwarder{command: command, started: time.Now(), ended: make(chan struct{})}
	go func() {
		defer close(started.ended)
		_ = command.Wait() // it ends if the port is taken
	}()
	return started, nil
}

// stop kills socat with all its connections, and waits for it.
func (f *forwarder) stop() {
	if !f.hasEnded() {
		_ = unix.Kill(-f.command.Process.Pid, unix.SIGKILL)
	}
	<-f.ended
}

func (f *forwarder) hasEnded() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}
