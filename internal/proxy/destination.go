package proxy

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// AgentPort is where the guest agent listens in every sandbox.
const AgentPort = host.AgentPort

// Headers by which clients name a sandbox on a base URL that all share.
const (
	clientSandboxHeader = "E2b-Sandbox-Id"
	clientPortHeader    = "E2b-Sandbox-Port"
)

// localDomain is always one of those under which sandboxes have names: it means
// this machine everywhere.
const localDomain = "localhost"

// labelPattern is the first label of a sandbox's host name: its port and ID.
var labelPattern = regexp.MustCompile(`^(\d+)-(.+)$`)

var (
	errBadPort = errors.New("the sandbox's port must be a number from 1 to 65535")
	errBadID   = errors.New("the sandbox's ID is malformed")
	// errNoSuchID is of a host name that no sandbox can have.
	errNoSuchID = errors.New("no sandbox has such an ID")
)

// destination is where a client wants a request to go.
type destination struct {
	sandboxID string
	port      uint16
	// shared says that headers named it, at an address that is not the sandbox's own.
	shared bool
}

// Domains are those under which sandboxes have host names, without ports.
type Domains []string

// NewDomains takes domains as they are configured: with a port or without.
func NewDomains(configured ...string) Domains {
	domains := Domains{localDomain}
	for _, domain := range configured {
		domains = append(domains, plainName(domain))
	}
	return domains
}

// destinationOf reads a request's host name or else its headers. It answers false
// for a request that names no sandbox, which is one for the control API.
func (d Domains) destinationOf(r *http.Request) (destination, bool, error) {
	port, sandboxID, named := d.split(r.Host)
	failure := errNoSuchID
	if !named {
		failure = errBadID
		port, sandboxID = r.Header.Get(clientPortHeader), r.Header.Get(clientSandboxHeader)
		if sandboxID == "" {
			return destination{}, false, nil
		}
	}
	if port == "" {
		port = strconv.Itoa(AgentPort)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return destination{}, true, errBadPort
	}
	sandboxID, ok := id.ReadSandbox(sandboxID)
	if !ok {
		return destination{}, true, failure
	}
	return destination{sandboxID: sandboxID, port: uint16(number), shared: !named}, true, nil
}

// split takes the port and the ID out of a host name of the form
// {port}-{sandboxID}.{domain}.
func (d Domains) split(host string) (port, sandboxID string, named bool) {
	label, domain, _ := strings.Cut(plainName(host), ".")
	for _, known := range d {
		if domain != known {
			continue
		}
		if match := labelPattern.FindStringSubmatch(label); match != nil {
			return match[1], match[2], true
		}
	}
	return "", "", false
}

// plainName is a host name in lower case, without its port and without the dot of
// the root.
func plainName(host string) string {
	return strings.ToLower(strings.TrimSuffix(hostName(host), "."))
}
