package route

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// agentPort is the port on which the guest agent listens in every sandbox.
const agentPort = sandbox.AgentPort

// Headers in which clients name a sandbox at the address that all sandboxes share.
const (
	SandboxHeader = "E2b-Sandbox-Id"
	PortHeader    = "E2b-Sandbox-Port"
)

// localDomain is always one of the domains of sandboxes: every machine resolves it to
// itself.
const localDomain = "localhost"

// labelPattern is the first label of a sandbox's host name: its port and ID.
var labelPattern = regexp.MustCompile(`^(\d+)-(.+)$`)

var (
	errBadPort = errors.New("the sandbox's port must be a number from 1 to 65535")
	errBadID   = errors.New("the sandbox's ID is malformed")
	// errNoSuchID is the error of a host name whose ID is malformed.
	errNoSuchID = errors.New("no sandbox has such an ID")
)

// destination is the sandbox and port that a request names.
type destination struct {
	sandboxID string
	port      uint16
	// shared is true if headers named the sandbox, at the address that all share.
	shared bool
}

// Domains are the domains under which sandboxes have host names, without ports.
type Domains []string

// NewDomains makes Domains from configured ones, each with or without a port.
func NewDomains(configured ...string) Domains {
	domains := Domains{localDomain}
	for _, domain := range configured {
		domains = append(domains, plainName(domain))
	}
	return domains
}

// destinationOf reads the destination from a request's host name or else its headers.
// It returns false for a request that names no sandbox, which is for the control API.
func (d Domains) destinationOf(r *http.Request) (destination, bool, error) {
	port, sandboxID, named := d.split(r.Host)
	failure := errNoSuchID
	if !named {
		failure = errBadID
		port, sandboxID = r.Header.Get(PortHeader), r.Header.Get(SandboxHeader)
		if sandboxID == "" {
			return destination{}, false, nil
		}
	}
	if port == "" {
		port = strconv.Itoa(agentPort)
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

// split reads the port and the ID from a host name of the form
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

// plainName is a host name in lower case, without port and final dot.
func plainName(host string) string {
	return strings.ToLower(strings.TrimSuffix(hostName(host), "."))
}
