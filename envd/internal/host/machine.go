package host

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// Machine is the guest. The zero value works on the real one.
type Machine struct {
	root         string // empty means /
	identity     Identity
	certificates Certificates
	names        Names
	volumes      Volumes
}

// SetClock sets the time of day.
func (Machine) SetClock(now time.Time) error { return SetClock(now) }

// Reseed reseeds the kernel's random number generator.
func (Machine) Reseed(seed Seed, life string) error { return Reseed(seed, life) }

// RenewIdentity gives the machine new IDs and the sandbox's ID as its name.
func (m Machine) RenewIdentity(sandbox id.Sandbox) error {
	err := m.identity.Renew(sandbox)
	if sandbox != "" {
		err = errors.Join(err, m.names.SetOwn(string(sandbox)))
	}
	return err
}

// FreezeFilesystem suspends writes to the root file system.
func (m Machine) FreezeFilesystem() error { return FreezeFilesystem(cmp.Or(m.root, "/")) }

// ThawFilesystem resumes writes.
func (m Machine) ThawFilesystem() error { return ThawFilesystem(cmp.Or(m.root, "/")) }

// Collapse collapses envd's memory into huge pages.
func (Machine) Collapse() (Collapsed, error) { return Collapse() }

// InstallCertificates makes the guest's programs trust a bundle.
func (m Machine) InstallCertificates(bundle []byte) error { return m.certificates.Install(bundle) }

// SetHostService sets the address of the host's service.
func (m Machine) SetHostService(address netip.Addr) error { return m.names.SetHostService(address) }

// SyncVolumes writes dirty pages of volumes to the host.
func (m Machine) SyncVolumes(ctx context.Context) error { return m.volumes.Sync(ctx) }

// MountVolumes mounts these volumes and unmounts the host's others.
func (m Machine) MountVolumes(ctx context.Context, volumes []Volume) error {
	return m.volumes.MountAll(ctx, volumes)
}
