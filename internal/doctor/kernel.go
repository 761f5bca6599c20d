package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

func checkTun(context.Context, Options) Result {
	device, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		return forRoot("/dev/net/tun")
	}
	if err != nil {
		return fail("run: modprobe tun", "/dev/net/tun does not open: %v", err)
	}
	defer device.Close()
	return ok("/dev/net/tun")
}

// checkNamespaces makes a network namespace, which ends with its thread.
func checkNamespaces(context.Context, Options) Result {
	err := thread.Run(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
	if errors.Is(err, unix.EPERM) {
		return forRoot("network namespaces")
	}
	if err != nil {
		return fail("use a kernel with CONFIG_NET_NS", "no network namespaces: %v", err)
	}
	return ok("network namespaces")
}

func checkNftables(context.Context, Options) Result {
	connection, err := nftables.New()
	if err == nil {
		_, err = connection.ListTables()
	}
	if errors.Is(err, unix.EPERM) {
		return forRoot("nftables")
	}
	if err != nil {
		return fail("run: modprobe nf_tables", "the kernel has no nftables: %v", err)
	}
	return ok("nftables")
}

func checkForwarding(context.Context, Options) Result {
	const path = "/proc/sys/net/ipv4/ip_forward"
	current, err := os.ReadFile(path)
	if err != nil {
		return fail("use a kernel with IPv4", "%v", err)
	}
	if strings.TrimSpace(string(current)) == "1" {
		return ok("on")
	}
	if err := unix.Access(path, unix.W_OK); err != nil && os.Geteuid() == 0 {
		return fail("run: sysctl -w net.ipv4.ip_forward=1", "off, and cannot be turned on from here")
	}
	return ok("off; turned on while Wrenn runs")
}

func checkPort(ctx context.Context, options Options) Result {
	host, port, err := net.SplitHostPort(options.Listen)
	if err != nil || port == "" {
		return fail("give --listen as HOST:PORT, such as 127.0.0.1:3000", "%q is not an address to listen on", options.Listen)
	}
	if options.Running {
		return ok("%s is in use by this Wrenn", options.Listen)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.Listen)
	if errors.Is(err, unix.EADDRINUSE) {
		return fail(fmt.Sprintf("choose another with --listen %s, or see which program uses it: ss -ltnp 'sport = :%s'", net.JoinHostPort(host, "PORT"), port),
			"%s is taken by another program", options.Listen)
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fail("choose another with --listen; see: ip address", "%s is not an address of this machine", options.Listen)
	}
	if errors.Is(err, unix.EACCES) {
		return fail("run it with sudo", "%s may not be used by this user", options.Listen)
	}
	if err != nil {
		return fail("choose another with --listen", "%v", err)
	}
	if err := listener.Close(); err != nil {
		return warn("", "%s: %v", options.Listen, err)
	}
	return ok("%s is free", options.Listen)
}
