package host

import (
	"context"
	"net/netip"
	"time"
)

// Machine is the one this process runs in.
type Machine struct {
	certificates Certificates
	names        Names
	volumes      Volumes
}

// SetClock sets the time of day.
func (Machine) SetClock(now time.Time) error { return SetClock(now) }

// Reseed makes the kernel's random numbers this machine's own.
func (Machine) Reseed() error { return Reseed() }

// FreezeFilesystem holds every write to the root file system.
func (Machine) FreezeFilesystem() error { return FreezeFilesystem("/") }

// ThawFilesystem lets writes go on.
func (Machine) ThawFilesystem() error { return ThawFilesystem("/") }

// Collapse gathers envd's memory into huge pages.
func (Machine) Collapse() (Collapsed, error) { return Collapse() }

// InstallCertificates makes all programs trust a bundle.
func (m Machine) InstallCertificates(bundle []byte) error { return m.certificates.Install(bundle) }

// SetHostService tells programs where the host's service is.
func (m Machine) SetHostService(address netip.Addr) error { return m.names.SetHostService(address) }

// MountVolume makes a directory of the host's appear.
func (m Machine) MountVolume(ctx context.Context, volume Volume) error {
	return m.volumes.Mount(ctx, volume)
}
