package vmm

// Capabilities is what a driver can do beyond what every driver must. What it
// cannot do it says here, and callers ask first.
type Capabilities struct {
	// Metadata: the guest can read Spec.Metadata, as JSON, at the link-local
	// address of metadata services, after asking for a token (MMDS version 2).
	Metadata bool
	// NetworkLimit: the VMM itself keeps to Spec.NetworkBytesPerSecond.
	NetworkLimit bool
}

// CapabilitiesOf returns what a driver says it can do; one that says nothing
// can do nothing more.
func CapabilitiesOf(driver Driver) Capabilities {
	if able, ok := driver.(interface{ Capabilities() Capabilities }); ok {
		return able.Capabilities()
	}
	return Capabilities{}
}
