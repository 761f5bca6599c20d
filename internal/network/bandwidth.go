package network

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// limitedClass is the class of a device's queue whose rate is limited. Packets that the
// firewall does not put into it have no limit.
var limitedClass = netlink.MakeHandle(1, 1)

// limitBandwidth sets the rates at which a slot's devices send, or removes the limit.
func limitBandwidth(namespace netns.NsHandle, limits egress.Limits) error {
	handle, err := netlink.NewHandleAt(namespace, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer handle.Close()
	for device, bytesPerSecond := range map[string]uint64{
		uplinkDevice: limits.UploadBytesPerSecond, TapDevice: limits.DownloadBytesPerSecond,
	} {
		if err := limitDevice(handle, device, bytesPerSecond); err != nil {
			return fmt.Errorf("limit the bandwidth of %s: %w", device, err)
		}
	}
	return nil
}

func limitDevice(handle *netlink.Handle, device string, bytesPerSecond uint64) error {
	link, err := handle.LinkByName(device)
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	queue := netlink.NewHtb(netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
	})
	present, err := hasQueue(handle, link)
	if err != nil {
		return err
	}
	switch {
	case bytesPerSecond == 0 && present:
		return handle.QdiscDel(queue)
	case bytesPerSecond == 0:
		return nil
	case !present:
		if err := handle.QdiscAdd(queue); err != nil {
			return err
		}
	}
	const fullPacket = 64 << 10 // offloading makes them larger than the device's MTU
	return handle.ClassReplace(netlink.NewHtbClass(
		netlink.ClassAttrs{LinkIndex: index, Parent: netlink.MakeHandle(1, 0), Handle: limitedClass},
		netlink.HtbClassAttrs{Rate: bytesPerSecond * 8, Buffer: fullPacket, Cbuffer: fullPacket, Quantum: fullPacket}))
}

func hasQueue(handle *netlink.Handle, link netlink.Link) (bool, error) {
	queues, err := handle.QdiscList(link)
	if err != nil {
		return false, err
	}
	for _, queue := range queues {
		if _, limiting := queue.(*netlink.Htb); limiting {
			return true, nil
		}
	}
	return false, nil
}
