package network

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// resolverFiles are read in order for a name server that guests can use.
// systemd-resolved names itself, on loopback, in the first; its upstreams are
// in the second.
var resolverFiles = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// fallbackResolver serves hosts whose own resolver listens on loopback only,
// where no other network namespace can reach it.
var fallbackResolver = netip.MustParseAddr("1.1.1.1")

// publicResolver is the host's name server, or another where that is not a public one.
func publicResolver(host netip.Addr) netip.Addr {
	if egress.Forbidden.Contains(host) {
		return fallbackResolver
	}
	return host
}

// findResolver returns the name server that guests' queries are sent to.
func findResolver() netip.Addr {
	for _, path := range resolverFiles {
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		address, found := parseResolver(bufio.NewScanner(file))
		file.Close()
		if found {
			return address
		}
	}
	return fallbackResolver
}

// parseResolver finds the first IPv4 name server that is not on loopback.
func parseResolver(lines *bufio.Scanner) (netip.Addr, bool) {
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err == nil && address.Is4() && !address.IsLoopback() {
			return address, true
		}
	}
	return netip.Addr{}, false
}

// forwardingMark is a file that says that the host did not route before Wrenn started,
// for a process after a crash.
const forwardingMark = "forwarding-was-off"

// enableForwarding makes the host route for its guests and returns a function that undoes
// it, which does nothing if the host routed before.
func enableForwarding(stateDir string) (restore func() error, err error) {
	const setting = "net/ipv4/ip_forward"
	current, err := os.ReadFile("/proc/sys/" + setting)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", setting, err)
	}
	mark := filepath.Join(stateDir, forwardingMark)
	if strings.TrimSpace(string(current)) != "1" {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return nil, fmt.Errorf("remember %s: %w", setting, err)
		}
		if err := writeSysctl(setting, "1"); err != nil {
			return nil, err
		}
	}
	return func() error {
		err := os.Remove(mark)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return errors.Join(err, writeSysctl(setting, "0"))
	}, nil
}
