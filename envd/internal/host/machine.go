package host

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// Machine is the one this process runs in. The zero value is the real one.
type Machine struct {
	root         string // empty means /
	identity     Identity
	certificates Certificates
	names        Names
	volumes      Volumes
}

// SetClock sets the time of day.
func (Machine) SetClock(now time.Time) error { return SetClock(now) }

// Reseed makes the kernel's random numbers this life's own.
func (Machine) Reseed(seed Seed, life string) error { return Reseed(seed, life) }

// RenewIdentity gives the machine new IDs and the sandbox's ID as its name.
func (m Machine) RenewIdentity(sandbox id.Sandbox) error { return m.identity.Renew(sandbox) }

// FreezeFilesystem holds every write to the root file system.
func (m Machine) FreezeFilesystem() error { return FreezeFilesystem(cmp.Or(m.root, "/")) }

// ThawFilesystem lets writes go on.
func (m Machine) ThawFilesystem() error { return ThawFilesystem(cmp.Or(m.root, "/")) }

// Collapse gathers envd's memory into huge pages.
func (Machine) Collapse() (Collapsed, error) { return Collapse() }

// InstallCertificates makes all programs trust a bundle.
func (m Machine) InstallCertificates(bundle []byte) error { return m.certificates.Install(bundle) }

// SetHostService tells programs where the host's service is.
func (m Machine) SetHostService(address netip.Addr) error { return m.names.SetHostService(address) }

// SyncVolumes writes out what was written to volumes.
func (m Machine) SyncVolumes(ctx context.Context) error { return m.volumes.Sync(ctx) }

// MountVolumes makes these directories of the host's appear, and no others.
func (m Machine) MountVolumes(ctx context.Context, volumes []Volume) error {
	return m.volumes.MountAll(ctx, volumes)
}
