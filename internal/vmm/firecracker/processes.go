package firecracker

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Processes finds every Firecracker whose jail is below a directory, by the root of its
// mount namespace, which /proc shows correctly after a rename, too.
func (d *Driver) Processes(directory string) ([]vmm.Process, error) {
	place, err := locate(directory)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list Firecracker processes: %w", err)
	}
	return vmm.FindProcesses(func(id string) bool { return isOurs(id, place) })
}

// isOurs reports whether a process is a Firecracker with its root below a place.
func isOurs(id string, place mount) bool {
	name, err := os.ReadFile(filepath.Join("/proc", id, "comm"))
	if err != nil || !strings.HasPrefix(string(name), Binary) {
		return false
	}
	mounts, err := readMounts(filepath.Join("/proc", id, "mountinfo"))
	if err != nil {
		return false
	}
	for _, m := range mounts {
		if m.point == "/" && m.device == place.device && isBelow(m.root, place.root) {
			return true
		}
	}
	return false
}

func isBelow(path, directory string) bool {
	return path == directory || strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
}

// mount is one line of a process's list of mounts.
type mount struct {
	device string // major:minor of the file system
	root   string // path in the file system
	point  string // path where that is
}

// locate returns the file system that a directory is on, and its path there.
func locate(directory string) (mount, error) {
	path, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return mount{}, err
	}
	mounts, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return mount{}, err
	}
	var best mount
	for _, m := range mounts {
		// The last of several mounts at one point covers the others.
		if isBelow(path, m.point) && len(m.point) >= len(best.point) {
			best = m
		}
	}
	if best.point == "" {
		return mount{}, fmt.Errorf("%s is on no mount", directory)
	}
	within := strings.TrimPrefix(strings.TrimPrefix(path, best.point), "/")
	return mount{device: best.device, root: filepath.Join(best.root, within), point: path}, nil
}

// readMounts reads "id parent major:minor root point ...".
// Source: proc_pid_mountinfo(5).
func readMounts(path string) ([]mount, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const wanted = 5
	var mounts []mount
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < wanted {
			return nil, fmt.Errorf("malformed line in %s: %q", path, lines.Text())
		}
		mounts = append(mounts, mount{device: fields[2], root: unescape(fields[3]), point: unescape(fields[4])})
	}
	return mounts, lines.Err()
}

// unescape reverts the kernel's escapes of blanks and backslashes in paths.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
