package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Names in a machine's run directory.
const (
	controlSocket = "control"
	bundleFile    = "config.json"
	versionFile   = "version"
)

// containerID is the same in every sandbox, of which each has one container.
const containerID = "guest"

// processName begins the command line of every sandbox.
const processName = "runsc-sandbox"

// handedFiles are files that the sandbox inherits, with the flags that name them.
type handedFiles struct {
	command *exec.Cmd
	opened  []*os.File
}

// give hands a file over and returns the number of its descriptor in the sandbox.
func (h *handedFiles) give(file *os.File) int {
	const firstExtra = 3
	h.command.ExtraFiles = append(h.command.ExtraFiles, file)
	return firstExtra + len(h.command.ExtraFiles) - 1
}

// own is give for a file that is closed here once the sandbox has it.
func (h *handedFiles) own(file *os.File) int {
	h.opened = append(h.opened, file)
	return h.give(file)
}

func (h *handedFiles) open(path string) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	return h.own(file), nil
}

// close closes what the sandbox has.
func (h *handedFiles) close() { closeAll(h.opened...) }

// arguments of runsc before its command. Nothing of the host is passed on: no network, no
// directory, no socket.
var runscArguments = []string{
	"--platform=systrap", "--network=none", "--directfs=false", "--overlay2=none", "--host-uds=none",
	"--net-raw=true", "--allow-suid=true", "--restore-spec-validation=enforce",
}

// spawn starts a sandbox that waits to be told what to run. started answers with one byte
// when its control server does.
func (d *Driver) spawn(spec vmm.Spec, how launch) (m *machine, started *os.File, err error) {
	output, err := vmm.OpenOutput()
	if err != nil {
		return nil, nil, err
	}
	started, sync, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, output.Close())
	}
	defer sync.Close()
	m = &machine{name: spec.Name, maker: d.Maker(), output: output, vcpuCount: spec.VCPUCount, memoryMiB: spec.MemoryMiB}
	defer func() {
		if err != nil {
			m.closeHandles()
			started.Close()
			m, started = nil, nil
		}
	}()
	command, handed, err := d.command(spec, how, output, sync)
	if handed != nil {
		defer handed.close()
	}
	if err != nil {
		return m, started, err
	}
	if err := thread.Run(func() error {
		if err := vmm.CloseOnExec(); err != nil {
			return err
		}
		return command.Start()
	}); err != nil {
		return m, started, err
	}
	if m.process, err = vmm.WatchCommand(command, "runsc"); err != nil {
		return m, started, err
	}
	if m.control, err = openControl(spec.RunDir, m.process.Done()); err != nil {
		err = errors.Join(err, m.process.Kill(context.Background()))
	}
	return m, started, err
}

// command is runsc's for the process that is the sandbox. That process is started here and
// not by `runsc create`: so it has a user of its own, and takes half the time.
func (d *Driver) command(spec vmm.Spec, how launch, output, sync *os.File) (*exec.Cmd, *handedFiles, error) {
	command := exec.Command("")
	handed := &handedFiles{command: command}
	binary, err := handed.open(d.binary)
	if err != nil {
		return nil, handed, err
	}
	// By its descriptor: the sandbox's user need not reach the directory it is in.
	command.Path = fmt.Sprintf("/proc/self/fd/%d", binary)
	bundle, err := writeBundle(spec.RunDir, d.version)
	if err != nil {
		return nil, handed, err
	}
	listener, err := vmm.ListenSocket(filepath.Join(spec.RunDir, controlSocket))
	if err != nil {
		return nil, handed, fmt.Errorf("listen for the control server: %w", err)
	}
	arguments := append([]string{processName, "--root=" + spec.RunDir}, runscArguments...)
	arguments = append(arguments, "boot", "--bundle="+spec.RunDir, "--setup-root", "--apply-caps=true",
		"--gofer-mount-confs="+how.rootMount(), "--gofer-mount-confs=erofs:none",
		"--cpu-num="+strconv.Itoa(spec.VCPUCount),
		"--total-memory="+strconv.FormatInt(int64(spec.MemoryMiB)<<20, 10), "--total-host-memory="+strconv.FormatInt(int64(spec.MemoryMiB)<<20, 10),
		fmt.Sprintf("--spec-fd=%d", handed.own(bundle)),
		fmt.Sprintf("--controller-fd=%d", handed.own(listener)),
		fmt.Sprintf("--start-sync-fd=%d", handed.give(sync)))
	for _, path := range []string{spec.DiskPath, how.directoryPath} {
		if err := checkExecutable(path); err != nil {
			return nil, handed, err
		}
		image, err := handed.open(path)
		if err != nil {
			return nil, handed, err
		}
		arguments = append(arguments, fmt.Sprintf("--io-fds=%d", image))
	}
	filestore, err := openFilestore(spec.RunDir)
	if err != nil {
		return nil, handed, err
	}
	arguments = append(arguments, fmt.Sprintf("--gofer-filestore-fds=%d", handed.own(filestore)))
	if how.layerPath != "" {
		layer, err := handed.open(how.layerPath)
		if err != nil {
			return nil, handed, err
		}
		arguments = append(arguments, fmt.Sprintf("--rootfs-upper-tar-fd=%d", layer))
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, handed, err
	}
	for _, file := range []int{handed.own(null), handed.give(output), handed.give(output)} {
		arguments = append(arguments, fmt.Sprintf("--stdio-fds=%d", file))
	}
	command.Args = append(arguments, containerID)
	// Go's runtime would keep a file of the host's control group open.
	command.Env = []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0"}
	command.Stderr = output
	command.SysProcAttr = confinement(spec)
	return command, handed, nil
}

// checkExecutable refuses an image of which nothing can be executed: a guest's programs
// would end at their first instruction.
func checkExecutable(path string) error {
	var status unix.Statfs_t
	if err := unix.Statfs(path, &status); err != nil {
		return fmt.Errorf("inspect image %s: %w", path, err)
	}
	if status.Flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("image %s is on a file system that is mounted with noexec, and guests execute what they map of it: remount it with exec", path)
	}
	return nil
}

// confinement makes the sandbox's namespaces. Its user is root of a user namespace that
// has no other user, so that it can make its empty root directory; runsc then drops all
// capabilities and installs its filter of system calls.
func confinement(spec vmm.Spec) *syscall.SysProcAttr {
	user := []syscall.SysProcIDMap{{ContainerID: 0, HostID: spec.User, Size: 1}}
	attributes := &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UidMappings: user, GidMappings: user, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	}
	if spec.Cgroup != nil {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(spec.Cgroup.Fd())
	}
	return attributes
}

// writeBundle writes the specification and the version that the sandbox runs, and returns
// the specification.
func writeBundle(runDir, version string) (*os.File, error) {
	content, err := json.Marshal(describeGuest())
	if err != nil {
		return nil, err
	}
	path := filepath.Join(runDir, bundleFile)
	if err := errors.Join(os.WriteFile(path, content, 0o600), os.WriteFile(filepath.Join(runDir, versionFile), []byte(version), 0o600)); err != nil {
		return nil, fmt.Errorf("write the guest's specification: %w", err)
	}
	return os.Open(path)
}

// openFilestore makes the file without a name that holds what the guest writes: it is
// gone with the sandbox.
func openFilestore(runDir string) (*os.File, error) {
	descriptor, err := unix.Open(runDir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the file for the guest's changes: %w", err)
	}
	return os.NewFile(uintptr(descriptor), "filestore"), nil
}
