package vmm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// ListenSocket opens the Unix socket by which a VMM is controlled, before it runs: so
// connecting to it needs no retries. A socket that was there is replaced. The path may be
// longer than an address of a socket.
// Source: unix(7), on sun_path.
func ListenSocket(path string) (*os.File, error) {
	if err := disk.RemoveIfThere(path); err != nil {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	address := fmt.Sprintf("/proc/self/fd/%d/%s", directory.Fd(), filepath.Base(path))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("protect socket: %w", err)
	}
	return listener.File()
}
