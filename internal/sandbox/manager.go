package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/catalog"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/upkeep"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/warm"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// Network gives guests their network.
type Network interface {
	guest.Network
	// RemoveLeftovers removes the networks that no guest has adopted.
	RemoveLeftovers() error
}

// Config is what a Manager works with.
type Config struct {
	// Dir is where sandboxes are kept, on a file system with reflinks that also holds the
	// templates.
	Dir string
	// SnapshotDir is where snapshots of sandboxes are kept, on the same file system.
	SnapshotDir string
	Driver      vmm.Driver
	Network     Network
	// WarmBytes is how much host memory guests may use that are held ready; zero makes
	// none.
	WarmBytes int64
	// Cgroups is where VMs get their control groups; DiskLimits are theirs.
	Cgroups    *cgroup.Root
	DiskLimits cgroup.IOLimits
	Admission  admission.Bounds
	// Volumes is where the host keeps its volumes.
	Volumes guest.Volumes
	// Traffic is the connections to guests.
	Traffic guest.Traffic
	Log     *slog.Logger
}

// Manager holds the sandboxes of one host.
type Manager struct {
	host      *host
	catalog   *catalog.Catalog
	admission *admission.Control
	warm      *warm.Pool
	sampler   *meter.Sampler
	upkeep    *upkeep.Loop
	requests  request.Set
	creates   creates
	sizes     Sizes
}

// warmDirectory holds the clones that are held ready: a clone becomes a sandbox by a
// rename, and the VM of a lost one is found below the directory of sandboxes.
func warmDirectory(sandboxes string) string { return filepath.Join(sandboxes, ".warm") }

// NewManager recovers what an earlier one left in config.Dir: what runs is adopted, what
// is paused is kept, everything else is removed.
func NewManager(ctx context.Context, config Config) (*Manager, error) {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make sandbox directory: %w", err)
	}
	m := &Manager{catalog: catalog.New(config.SnapshotDir, config.Log)}
	m.host = newHost(config.Dir, guest.NewHost(guest.Config{
		Driver: config.Driver, Network: config.Network, Cgroups: config.Cgroups, DiskLimits: config.DiskLimits,
		Volumes: config.Volumes, Traffic: config.Traffic, Log: config.Log,
	}), config.Log)
	err := recovery{
		host: m.host, driver: config.Driver, network: config.Network, cgroups: config.Cgroups, catalog: m.catalog, log: config.Log,
	}.run(ctx)
	if err != nil {
		return nil, err
	}
	m.admission = admission.New(config.Admission, config.Cgroups, m.host.promised)
	m.warm = warm.Start(warm.Config{
		Directory: warmDirectory(config.Dir), BudgetBytes: config.WarmBytes,
		Guests: m.host.guests, Templates: m.catalog, Admission: m.admission, Log: config.Log,
	})
	m.sampler = meter.StartSampler(each(m.host, func(s *sandbox) meter.Subject { return s }))
	m.upkeep = upkeep.Start(each(m.host, func(s *sandbox) upkeep.Sandbox { return s }), upkeep.DiskGuard{
		ReserveBytes: config.Admission.DiskReserveBytes, Directories: config.Admission.Directories, Log: config.Log,
	})
	return m, nil
}

// Offer makes a template available, and has sandboxes without memory booted as it was;
// the memory path of boot is not looked at. Before the first Offer, sandboxes that were
// recovered run, and none can be created.
func (m *Manager) Offer(template *snapshot.Snapshot, boot vmm.Boot) {
	m.host.guests.SetBoot(boot)
	m.catalog.Offer(template)
}

// Sizes finds builds with other sizes than their own, which stay until release is called.
type Sizes interface {
	Find(ctx context.Context, buildID string, size admission.Size, told func(string)) (_ *snapshot.Snapshot, release func(), err error)
}

// OfferSizes comes before the first Create.
func (m *Manager) OfferSizes(sizes Sizes) { m.sizes = sizes }

// Catalog is what sandboxes can be created from.
func (m *Manager) Catalog() *catalog.Catalog { return m.catalog }

// Admit reserves room on the host for a VM that is no sandbox's, or returns an
// admission.ErrNoRoom. The caller calls release when the VM has ended.
func (m *Manager) Admit(size admission.Size) (release func(), err error) {
	return m.admission.AdmitOrReclaim(size, m.warm.Reclaim)
}

// Signer signs the identity tokens of all sandboxes. Its key is kept in memory only.
func (m *Manager) Signer() *workload.Signer { return &m.host.signer }

// Get describes one sandbox.
func (m *Manager) Get(id string) (Info, error) {
	s, err := m.host.find(id)
	if err != nil {
		return Info{}, err
	}
	return s.info(), nil
}

// List describes every sandbox, by ID.
func (m *Manager) List() []Info { return m.host.list() }

// Watch calls receive with every sandbox and then, until ctx ends or receive fails, with
// each that changes.
func (m *Manager) Watch(ctx context.Context, receive func(Info) error) error {
	return m.host.feed.Watch(ctx, m.host.list, receive)
}

// Reach returns how a running sandbox's guest is reached.
func (m *Manager) Reach(id string) (guest.Access, error) {
	s, err := m.host.find(id)
	if err != nil {
		return guest.Access{}, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.access.Address.IsValid() {
		return guest.Access{}, &ConflictError{ID: id, State: s.record.State, Wanted: "be reached"}
	}
	return s.access, nil
}

// Sampled is what one sandbox used, over time and in total.
type Sampled struct {
	Info    Info
	Samples []meter.Sample // in the order of time
}

// Samples returns what sandboxes used, those without samples included. No IDs mean all
// sandboxes; unknown IDs are left out.
func (m *Manager) Samples(ids []string, since time.Time, latestOnly bool) []Sampled {
	var all []Sampled
	for _, s := range m.host.all() {
		if len(ids) == 0 || slices.Contains(ids, s.id) {
			all = append(all, Sampled{Info: s.info(), Samples: s.history.After(since, latestOnly)})
		}
	}
	slices.SortFunc(all, func(a, b Sampled) int { return strings.Compare(a.Info.ID, b.Info.ID) })
	return all
}
