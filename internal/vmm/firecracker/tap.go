package firecracker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

// lendTap makes a user and the machines' group owners of a TAP interface.
// Source: Documentation/networking/tuntap.rst in Linux.
func lendTap(namespace, name string, user int) error {
	err := thread.Run(func() error {
		if namespace != "" {
			if err := thread.EnterNetwork(namespace); err != nil {
				return err
			}
		}
		device, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer device.Close()
		descriptor := int(device.Fd())
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(descriptor, unix.TUNSETIFF, request); err != nil {
			return err
		}
		if err := unix.IoctlSetInt(descriptor, unix.TUNSETOWNER, user); err != nil {
			return err
		}
		return unix.IoctlSetInt(descriptor, unix.TUNSETGROUP, sharedGroup)
	})
	if err != nil {
		return fmt.Errorf("lend TAP interface %s: %w", name, err)
	}
	return nil
}
