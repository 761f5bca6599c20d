package host

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// hostService is the host name of the service that the host offers to guests.
const hostService = "events.e2b.local"

// Names is the table of host names. The zero value is /etc/hosts, and the services that
// answer names are those of /etc/nsswitch.conf.
type Names struct {
	path, services string
}

func (n Names) orOwn() Names {
	n.path = cmp.Or(n.path, "/etc/hosts")
	n.services = cmp.Or(n.services, "/etc/nsswitch.conf")
	return n
}

// ownMark ends the line of the machine's own name.
const ownMark = "# wrenn"

// SetOwn makes the machine's own name resolve, in place of the one it had before. It
// writes nothing where nss-myhostname answers: each clone would get a copy of the block.
func (n Names) SetOwn(name string) error {
	n = n.orOwn()
	services, err := os.ReadFile(n.services)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("name the machine: %w", err)
	}
	for line := range strings.Lines(string(services)) {
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[0] == "hosts:" && slices.Contains(fields, "myhostname") {
			return nil
		}
	}
	const own = "127.0.1.1" // as Debian's installer has it
	isOld := func(line string) bool { return strings.HasSuffix(strings.TrimSpace(line), ownMark) }
	if err := n.replaceLine(isOld, own+"\t"+name+" "+ownMark); err != nil {
		return fmt.Errorf("name the machine: %w", err)
	}
	return nil
}

// SetHostService sets the address of the host's service, replacing the old one.
func (n Names) SetHostService(address netip.Addr) error {
	n = n.orOwn()
	isOld := func(line string) bool {
		fields := strings.Fields(line)
		return len(fields) == 2 && fields[1] == hostService
	}
	if err := n.replaceLine(isOld, address.String()+"\t"+hostService); err != nil {
		return fmt.Errorf("name the host's service: %w", err)
	}
	return nil
}

// replaceLine takes out old lines and appends a new one.
func (n Names) replaceLine(isOld func(line string) bool, line string) error {
	before, err := os.ReadFile(n.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var after strings.Builder
	for other := range strings.Lines(string(before)) {
		if !isOld(other) {
			after.WriteString(strings.TrimSuffix(other, "\n") + "\n")
		}
	}
	after.WriteString(line + "\n")
	if after.String() == string(before) {
		return nil
	}
	return replaceFile(n.path, []byte(after.String()))
}
