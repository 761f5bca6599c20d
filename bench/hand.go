package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/bench/qmp"
	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// devicesOption tells QEMU to restore from its second extra file; the first is the
// monitor's listening socket.
const devicesOption = "fd:4"

// hand starts QEMU without Wrenn, from the base template's files and with the same
// arguments. The difference in time is Wrenn's.
type hand struct {
	arguments   []string // of QEMU, for this side's disk
	templateDir string
	dir         string // on the same file system as Wrenn's disks
}

// prepareHand takes the arguments from a sandbox that Wrenn has started.
func prepareHand(ctx context.Context, wrenn *installation.Installation) (_ *hand, err error) {
	s, err := createSandbox(ctx, wrenn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	process, err := machineOf(wrenn, s.ID)
	if err != nil {
		return nil, err
	}
	h := &hand{arguments: slices.Clone(process.arguments)}
	memory := pathOption(h.arguments, "mem-path=")
	disk := pathOption(h.arguments, "filename=")
	if memory == "" || disk == "" || !slices.Contains(h.arguments, devicesOption) {
		return nil, fmt.Errorf("arguments of QEMU are not as expected: %q", h.arguments)
	}
	shared := filepath.Join(sandboxDirectory(wrenn, s.ID), "memory")
	if h.templateDir, err = findTemplate(filepath.Join(storage(wrenn), "templates"), shared); err != nil {
		return nil, err
	}
	if h.dir, err = os.MkdirTemp(storage(wrenn), "bench-"); err != nil {
		return nil, err
	}
	for i, argument := range h.arguments {
		argument = strings.ReplaceAll(argument, disk, h.diskPath())
		argument = strings.ReplaceAll(argument, memory, filepath.Join(h.templateDir, "memory"))
		h.arguments[i] = strings.ReplaceAll(argument, optionValue(process.arguments, "-name"), "bench")
	}
	if at := slices.Index(h.arguments, "-chroot"); at >= 0 && at+1 < len(h.arguments) {
		h.arguments[at+1] = h.dir
	}
	if err := makeNamespace(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(h.dir))
	}
	return h, nil
}

// findTemplate finds the template whose memory a sandbox shares.
func findTemplate(templates, memory string) (string, error) {
	shared, err := os.Stat(memory)
	if err != nil {
		return "", err
	}
	candidates, err := filepath.Glob(filepath.Join(templates, "*", "memory"))
	if err != nil {
		return "", err
	}
	for _, candidate := range candidates {
		if info, err := os.Stat(candidate); err == nil && os.SameFile(info, shared) {
			return filepath.Dir(candidate), nil
		}
	}
	return "", fmt.Errorf("no template in %s has the memory that a sandbox was started from", templates)
}

// pathOption finds "key=path" among the comma-separated options of QEMU.
func pathOption(arguments []string, key string) string {
	for _, argument := range arguments {
		for option := range strings.SplitSeq(argument, ",") {
			if path, found := strings.CutPrefix(option, key); found && strings.HasPrefix(path, "/") && path != "/dev/urandom" {
				return path
			}
		}
	}
	return ""
}

func (h *hand) close() error { return errors.Join(removeNamespace(), os.RemoveAll(h.dir)) }

func (h *hand) diskPath() string { return filepath.Join(h.dir, "disk") }

func agentURL() string {
	return "http://" + net.JoinHostPort(guestAddress, strconv.Itoa(guest.AgentPort))
}

// measure is one round: restore, first command, pause to disk.
func (h *hand) measure(ctx context.Context, into *measurements) (err error) {
	began := time.Now()
	machine, err := h.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, machine.kill()) }()
	if err := machine.awaitRunning(ctx); err != nil {
		return err
	}
	agent := &guest.Agent{Client: clientInside(filepath.Join("/run/netns", namespaceName)), BaseURL: agentURL()}
	defer agent.Client.CloseIdleConnections()
	if err := wake(ctx, agent); err != nil {
		return err
	}
	if err := firstCommand(ctx, agent); err != nil {
		return err
	}
	into.createByHand = append(into.createByHand, time.Since(began))

	began = time.Now()
	if err := machine.save(ctx, filepath.Join(h.dir, "saved")); err != nil {
		return err
	}
	into.pauseByHand = append(into.pauseByHand, time.Since(began))
	return nil
}

// wake tells the guest agent that it was restored: before that it runs no commands.
// Wrenn sends the same request, with the sandbox's settings in it.
func wake(ctx context.Context, agent *guest.Agent) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, agent.BaseURL+"/init", http.NoBody)
	if err != nil {
		return err
	}
	response, err := agent.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("wake the guest agent: %s", response.Status)
	}
	return nil
}

// handMachine is one QEMU started by hand.
type handMachine struct {
	command *exec.Cmd
	socket  string
	monitor *qmp.Monitor
}

func (h *hand) start() (*handMachine, error) {
	if err := cloneFile(filepath.Join(h.templateDir, "disk"), h.diskPath()); err != nil {
		return nil, err
	}
	socket := filepath.Join(h.dir, "monitor.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	listening, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer listening.Close()
	devices, err := os.Open(filepath.Join(h.templateDir, "devices"))
	if err != nil {
		return nil, err
	}
	defer devices.Close()
	command := exec.Command(h.arguments[0], h.arguments[1:]...)
	command.Stderr = os.Stderr
	command.ExtraFiles = []*os.File{listening, devices}
	if err := inNamespace(filepath.Join("/run/netns", namespaceName), command.Start); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	return &handMachine{command: command, socket: socket}, nil
}

func (m *handMachine) kill() error {
	var closeErr error
	if m.monitor != nil {
		closeErr = m.monitor.Close()
	}
	if err := m.command.Process.Kill(); err != nil {
		return errors.Join(closeErr, err)
	}
	_ = m.command.Wait() // the status is that of a killed process
	return errors.Join(closeErr, os.Remove(m.socket))
}

func (m *handMachine) awaitRunning(ctx context.Context) (err error) {
	if m.monitor, err = qmp.Dial(ctx, m.socket); err != nil {
		return err
	}
	return m.monitor.AwaitStatus(ctx, "query-status", "running")
}

// save writes the machine with its memory into a file by a migration, durably.
func (m *handMachine) save(ctx context.Context, path string) error {
	if _, err := m.monitor.Execute(ctx, "stop", nil); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := m.monitor.PassFile(ctx, "saved", file); err != nil {
		return err
	}
	unlimited := map[string]any{"max-bandwidth": int64(1) << 40}
	if _, err := m.monitor.Execute(ctx, "migrate-set-parameters", unlimited); err != nil {
		return err
	}
	if _, err := m.monitor.Execute(ctx, "migrate", map[string]any{"uri": "fd:saved"}); err != nil {
		return err
	}
	if err := m.monitor.AwaitStatus(ctx, "query-migrate", "completed"); err != nil {
		return err
	}
	return file.Sync()
}

// cloneFile makes target a reflink clone of source. An existing target is replaced.
func cloneFile(source, target string) error {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(target)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		return fmt.Errorf("clone %s: %w", source, err)
	}
	return to.Close()
}
