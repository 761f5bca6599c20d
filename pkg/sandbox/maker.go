package sandbox

// Maker is the driver and accelerator of a host that made a snapshot with memory, which no
// other can start. The zero value is any, or not known.
type Maker struct{ Driver, Accelerator string }

// String names both, as in "qemu under kvm".
func (m Maker) String() string { return m.Driver + " under " + m.Accelerator }

// Restores reports whether a host that is m can start what madeBy made.
func (m Maker) Restores(madeBy Maker) bool { return madeBy == Maker{} || m == madeBy }
