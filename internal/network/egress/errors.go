package egress

import (
	"errors"
	"fmt"
)

// The reasons to refuse a policy; always inside a SpecError.
var (
	ErrMalformedDestination = errors.New("neither a CIDR, an IP address nor a domain")
	ErrMalformedDomain      = errors.New("not a domain, nor one with a leading *. wildcard")
	ErrDomainInDenyOut      = errors.New("domains cannot be denied, only CIDRs and IP addresses")
	ErrDomainNeedsDenyAll   = errors.New("a domain is only told apart when all other traffic is denied: add 0.0.0.0/0 to denyOut")
	ErrForbiddenRange       = errors.New("lies in a range that no sandbox may reach")
	ErrIPv6                 = errors.New("sandboxes speak IPv4 only")
	ErrTooMany              = errors.New("more entries than a policy may have")
	ErrMalformedHeader      = errors.New("not a header name and value that HTTP allows")
	ErrMalformedHost        = errors.New("not what a Host header can be")
	ErrReservedHeader       = errors.New("belongs to the connection, not to a rule")
	ErrMalformedAddress     = errors.New("not a host and a port")
	ErrMalformedCredentials = errors.New("a user and a password have at most 255 bytes, and a password needs a user")
	ErrTLSOff               = errors.New("must have no other fields when enabled is false")
	ErrMalformedCertificate = errors.New("not certificates in PEM of at most 8192 bytes")
	ErrRateTooLow           = errors.New("below the lowest rate that connections survive")
)

// ErrNoAuthority is returned for a policy with rules but without an authority, which the
// guest must trust so that requests over TLS can be changed.
var ErrNoAuthority = errors.New("network policy: rules need an authority that the sandbox trusts")

// ErrDenied is returned for a connection that the policy does not allow.
var ErrDenied = errors.New("denied by the sandbox's network policy")

// ErrBusy is returned over the limit of what one sandbox may have at a time.
var ErrBusy = errors.New("the sandbox asks for too much at once")

// ErrPolicyChanged is returned for a request that waited for a connection while the
// policy whose secrets it has was replaced.
var ErrPolicyChanged = errors.New("the sandbox's network policy was changed before the request was sent")

// ErrNoSecret is returned for a request that needs a secret that does not exist.
var ErrNoSecret = errors.New("a secret that this request needs is not available")

// ErrNoToken is returned for a request whose identity token cannot be made.
var ErrNoToken = errors.New("an identity token that this request needs is not available")

// SpecError says which part of a Spec is wrong and why.
type SpecError struct {
	// Field is named as in the API, such as "denyOut".
	Field string
	// Value is what the client wrote, or empty; never a header's value.
	Value string
	// Err is one of this package's errors, or placeholder.ErrMalformed.
	Err error
}

func (e *SpecError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("network policy: %s: %v", e.Field, e.Err)
	}
	return fmt.Sprintf("network policy: %s: %q: %v", e.Field, e.Value, e.Err)
}

func (e *SpecError) Unwrap() error { return e.Err }
