package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// hostService is the host name of the service that the host offers to guests.
const hostService = "events.e2b.local"

// Names is the table of host names. The zero value is /etc/hosts.
type Names struct {
	path string
}

// SetHostService sets the address of the host's service, replacing the old one.
func (n Names) SetHostService(address netip.Addr) error {
	if n.path == "" {
		n.path = "/etc/hosts"
	}
	before, err := os.ReadFile(n.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("name the host's service: %w", err)
	}
	var after strings.Builder
	for line := range strings.Lines(string(before)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[1] == hostService {
			continue
		}
		after.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	fmt.Fprintf(&after, "%s\t%s\n", address, hostService)
	if after.String() == string(before) {
		return nil
	}
	if err := replaceFile(n.path, []byte(after.String())); err != nil {
		return fmt.Errorf("name the host's service: %w", err)
	}
	return nil
}
