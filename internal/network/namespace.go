package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

// Interfaces inside a slot's namespace.
const (
	// TapDevice is where the namespace receives what the guest sends.
	TapDevice = "tap0"
	// packetDevice is the guest's end of a veth pair whose other end is TapDevice.
	packetDevice = "guest0"
	// uplinkDevice is the namespace's end of the veth pair to the host.
	uplinkDevice = "uplink"
)

// namespaceDirectory is where iproute2 keeps named network namespaces, so that
// `ip netns exec wrenn-0 …` works.
const namespaceDirectory = "/run/netns"

// inNewNamespace makes a named namespace and runs configure inside it, on a
// thread that is thrown away afterwards.
func inNewNamespace(name string, configure func() error) error {
	return thread.Run(func() error {
		namespace, err := netns.NewNamed(name)
		if err != nil {
			return fmt.Errorf("make network namespace %s: %w", name, err)
		}
		defer namespace.Close()
		return configure()
	})
}

// inNamespace runs configure inside an existing named namespace.
func inNamespace(name string, configure func() error) error {
	return thread.Run(func() error {
		if err := thread.EnterNetwork(filepath.Join(namespaceDirectory, name)); err != nil {
			return err
		}
		return configure()
	})
}

// deleteNamespace removes a named namespace. It succeeds if there is none, or only the
// name of one, which a process leaves that dies while it makes or deletes it.
func deleteNamespace(name string) error {
	err := netns.DeleteNamed(name)
	if errors.Is(err, unix.EINVAL) { // nothing is mounted there
		err = os.Remove(filepath.Join(namespaceDirectory, name))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

// deleteLink removes a link of the host. It succeeds if there is none.
func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	return nil
}

func writeSysctl(path, value string) error {
	if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0); err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	return nil
}
