package network

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// ErrNoSlots is returned when every address of the pool's range is in use.
var ErrNoSlots = errors.New("no network slot is free on this host")

// DefaultRange has the slots' addresses on the host's side: a part of 10.0.0.0/8 that is
// seldom used, enough for 32,768 sandboxes.
var DefaultRange = netip.MustParsePrefix("10.213.0.0/16")

// DefaultFirstUser is far above the users that distributions and container runtimes
// hand out.
const DefaultFirstUser = 1 << 30

// Users of VMs are from lowestUser to highestUser: above those of the system, and within
// what every kernel and file system supports.
const (
	lowestUser  = 1 << 16
	highestUser = 1<<31 - 1
)

// ErrUsers is returned for a range of users that is not valid.
var ErrUsers = errors.New("the users of VMs are out of range")

// lockPath is locked by a pool while it makes a slot, so that two pools of one machine
// do not use the same address.
const lockPath = "/run/wrenn-network.lock"

// Config configures a Pool.
type Config struct {
	// StateDir has a record of each slot of the pool, by which a later pool adopts or
	// removes them after a crash. It is made if it is missing.
	StateDir string
	// Range is split into pairs of addresses; the zero value means DefaultRange.
	Range netip.Prefix
	// Resolver answers guests' questions; the zero value means the host's own.
	Resolver netip.Addr
	// Limits are those of each slot. Those of its policy apply too.
	Limits egress.Limits
	// FirstUser begins the users of VMs, as many as Range has slots; zero means
	// DefaultFirstUser. No other user of the machine may be among them.
	FirstUser int
	// PacketLinks gives each slot a veth pair in the place of a TAP, for VMMs that read and
	// write frames by a packet socket.
	PacketLinks bool
	// UpstreamNetworks are private or special ranges that the proxy of a sandbox's
	// egress may be in: it is then reached from the host's own network.
	UpstreamNetworks []netip.Prefix
	// Roots verify the servers of requests that a rule changes; nil means the system's.
	Roots *x509.CertPool
	Log   *slog.Logger
}

// Pool makes slots ahead of time and takes them back.
type Pool struct {
	config  Config
	table   string
	restore func() error

	ready  *ready
	cancel context.CancelFunc
	tasks  sync.WaitGroup // refill, and each slot that is being destroyed
	next   int            // where refill looks for the next free index
	// forgetting is held while the host's connection tracking table is read, which can
	// be large.
	forgetting chan struct{}

	mutex sync.Mutex
	taken map[int]*Slot // slots that this pool has made or adopted, by index
}

// NewPool sets up the host's firewall and begins to make slots. Close undoes all
// of it. Slots that an earlier pool left in StateDir stay until RemoveLeftovers,
// so that their users can Adopt them.
func NewPool(ctx context.Context, config Config) (*Pool, error) {
	if !config.Range.IsValid() {
		config.Range = DefaultRange
	}
	if !config.Range.Addr().Is4() || config.Range.Bits() > 31 {
		return nil, fmt.Errorf("network range %s is not an IPv4 range of two addresses or more", config.Range)
	}
	if config.FirstUser == 0 {
		config.FirstUser = DefaultFirstUser
	}
	if last := config.FirstUser + 1<<(31-config.Range.Bits()) - 1; config.FirstUser < lowestUser || last > highestUser {
		return nil, fmt.Errorf("%w: %d to %d is not within %d to %d", ErrUsers, config.FirstUser, last, lowestUser, highestUser)
	}
	if err := os.MkdirAll(config.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make network state directory: %w", err)
	}
	if err := os.MkdirAll(namespaceDirectory, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", namespaceDirectory, err)
	}
	if !config.Resolver.IsValid() {
		config.Resolver = findResolver()
	}
	p := &Pool{
		config: config, table: tableName(config.StateDir),
		ready: newReady(), taken: make(map[int]*Slot), forgetting: make(chan struct{}, 1),
	}
	restore, err := enableForwarding(config.StateDir)
	if err != nil {
		return nil, err
	}
	p.restore = restore
	firewall := hostFirewall{slots: config.Range, resolver: config.Resolver}
	if err := firewall.install(p.table); err != nil {
		return nil, errors.Join(err, restore())
	}
	refill, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.tasks.Go(func() { p.refill(refill) })
	return p, nil
}

// Acquire hands out a slot of the caller's own, under the default policy. Without
// internet the guest reaches nothing outside its namespace, name servers
// included. Apply puts any other policy in force.
func (p *Pool) Acquire(ctx context.Context, internet bool) (*Slot, error) {
	slot, err := p.ready.take(ctx)
	if err != nil {
		return nil, err
	}
	if internet {
		return slot, nil
	}
	if err := slot.Apply(ctx, egress.Closed()); err != nil {
		p.Release(slot)
		return nil, err
	}
	return slot, nil
}

// Release destroys a slot in the background. No part of it is used for another
// sandbox.
func (p *Pool) Release(slot *Slot) {
	p.tasks.Go(func() { p.discard(slot) })
}

// Close destroys the slots that were not handed out, waits for those being
// destroyed, and takes the firewall away.
func (p *Pool) Close() error {
	p.Leave()
	return errors.Join(removeHostFirewall(p.table), p.restore())
}

// make takes a free index and builds its slot.
func (p *Pool) make() (*Slot, error) {
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	index, err := p.freeIndex()
	if err != nil {
		return nil, err
	}
	slot := p.slot(index)
	p.take(slot) // before the record, which alone looks like a leftover
	if err := os.WriteFile(p.record(index), nil, 0o600); err != nil {
		p.giveUp(index)
		return nil, fmt.Errorf("record network slot: %w", err)
	}
	if err := slot.create(); err != nil {
		p.giveUp(index)
		return nil, errors.Join(err, os.Remove(p.record(index)))
	}
	return slot, nil
}

func (p *Pool) discard(slot *Slot) {
	defer p.giveUp(slot.index)
	slot.close()
	if err := slot.destroy(); err != nil {
		p.config.Log.Error("destroy network slot", "slot", slot.index, "error", err)
		return // its record stays, so the next start tries again
	}
	p.forgetting <- struct{}{}
	err := forgetAll(slot.address)
	<-p.forgetting
	if err != nil {
		p.config.Log.Error("forget the connections of a network slot", "slot", slot.index, "error", err)
	}
	if err := os.Remove(p.record(slot.index)); err != nil {
		p.config.Log.Error("forget network slot", "slot", slot.index, "error", err)
	}
}

func (p *Pool) slot(index int) *Slot {
	first := p.config.Range.Masked().Addr().As4()
	base := uint32(first[0])<<24 | uint32(first[1])<<16 | uint32(first[2])<<8 | uint32(first[3])
	at := func(n uint32) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	return &Slot{
		index: index, user: p.config.FirstUser + index, hostSide: at(base + 2*uint32(index)), address: at(base + 2*uint32(index) + 1),
		resolver: p.config.Resolver, roots: p.config.Roots, limits: p.config.Limits, packets: p.config.PacketLinks,
		upstreamNetworks: p.config.UpstreamNetworks, log: p.config.Log.With("slot", index), turn: make(chan struct{}, 1),
	}
}

func (p *Pool) record(index int) string {
	return filepath.Join(p.config.StateDir, strconv.Itoa(index))
}

// freeIndex finds an index whose names and addresses are free: also of slots that are
// being destroyed or wait to be adopted. It continues after the last index, so that an
// address is used again as late as possible and late packets to its former slot reach
// no other.
func (p *Pool) freeIndex() (int, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return 0, fmt.Errorf("list links: %w", err)
	}
	names := make(map[string]bool, len(links))
	for _, link := range links {
		names[link.Attrs().Name] = true
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	count := 1 << (31 - p.config.Range.Bits())
	for offset := range count {
		index := (p.next + offset) % count
		slot := p.slot(index)
		if names[slot.hostDevice()] || overlaps(addresses, slot.hostSide) || p.isTaken(index) {
			continue
		}
		if absent(slot.Namespace()) && absent(p.record(index)) {
			p.next = index + 1
			return index, nil
		}
	}
	return 0, ErrNoSlots
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func overlaps(addresses []netlink.Addr, candidate netip.Addr) bool {
	for _, address := range addresses {
		if address.Contains(candidate.AsSlice()) {
			return true
		}
	}
	return false
}

// tableName gives every pool of a machine a firewall table of its own.
func tableName(stateDir string) string {
	hash := fnv.New32a()
	hash.Write([]byte(stateDir))
	return fmt.Sprintf("wrenn-%08x", hash.Sum32())
}

// lock serialises the making of slots among all pools of the machine.
func lock() (unlock func(), err error) {
	file, err := os.OpenFile(lockPath, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open network lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("take network lock: %w", err)
	}
	return func() { file.Close() }, nil
}
