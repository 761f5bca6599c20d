package vmm

// Capabilities are optional features of drivers.
type Capabilities struct {
	// Metadata: the guest can read Spec.Metadata as JSON at 169.254.169.254, with a
	// token (MMDS version 2).
	Metadata bool
	// NetworkLimit: the VMM enforces Spec.NetworkBytesPerSecond.
	NetworkLimit bool
}

// CapabilitiesOf returns a driver's capabilities; none for a driver without a
// Capabilities method.
func CapabilitiesOf(driver Driver) Capabilities {
	if able, ok := driver.(interface{ Capabilities() Capabilities }); ok {
		return able.Capabilities()
	}
	return Capabilities{}
}
