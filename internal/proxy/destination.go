package proxy

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"

	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// AgentPort is where the guest agent listens in every sandbox.
const AgentPort = 49983

// Headers by which clients name a sandbox on a base URL that all share.
const (
	clientSandboxHeader = "E2b-Sandbox-Id"
	clientPortHeader    = "E2b-Sandbox-Port"
)

// hostPattern is a host name that begins with a sandbox's port and ID.
var hostPattern = regexp.MustCompile(`^(\d{1,5})-(i[a-z0-9]{19})\.`)

var (
	errBadPort = errors.New("the sandbox's port must be a number from 1 to 65535")
	errBadID   = errors.New("the sandbox's ID is malformed")
)

// destination is where a client wants a request to go.
type destination struct {
	sandboxID string
	port      uint16
}

// destinationOf reads a request's host name or else its headers. It answers false
// for a request that names no sandbox, which is one for the control API.
func destinationOf(r *http.Request) (destination, bool, error) {
	sandboxID, port := r.Header.Get(clientSandboxHeader), r.Header.Get(clientPortHeader)
	if match := hostPattern.FindStringSubmatch(r.Host); match != nil {
		port, sandboxID = match[1], match[2]
	} else if sandboxID == "" {
		return destination{}, false, nil
	}
	if port == "" {
		port = strconv.Itoa(AgentPort)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return destination{sandboxID: sandboxID}, true, errBadPort
	}
	if !id.IsSandbox(sandboxID) {
		return destination{sandboxID: sandboxID}, true, errBadID
	}
	return destination{sandboxID: sandboxID, port: uint16(number)}, true, nil
}
