package vmm

// Capabilities are optional features of drivers.
type Capabilities struct {
	// Metadata: the guest can read Spec.Metadata as JSON at 169.254.169.254, with a
	// token (MMDS version 2).
	Metadata bool
	// NetworkLimit: the VMM enforces Spec.NetworkBytesPerSecond.
	NetworkLimit bool
	// Layers: a machine's disk is an image that is never written to, which machines share,
	// and a layer of changes, which ends with the machine unless a snapshot has it. There
	// is no kernel to boot: Boot starts the first program of Wrenn's directory. Machines
	// are LayerSavers.
	Layers bool
	// MostVCPUs is how many a guest can have; zero where it is not known.
	MostVCPUs int
}

// CapabilitiesOf returns a driver's capabilities; none for a driver without a
// Capabilities method.
func CapabilitiesOf(driver Driver) Capabilities {
	if able, ok := driver.(interface{ Capabilities() Capabilities }); ok {
		return able.Capabilities()
	}
	return Capabilities{}
}
