package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// store reads and writes the rows of hosts, by a pool or within a transaction.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

func hostOf(row rows.Host) Host {
	return Host{
		ID: row.ID, Name: row.Name, Address: row.Address, Tags: row.Tags, State: row.State, StateChangedAt: row.StateChangedAt,
		DrainWanted: row.DrainWanted, Follower: row.Follower, LastSeenAt: row.LastSeenAt,
		Version: row.Version, Driver: row.Driver, Accelerator: row.Accelerator, CPUCount: row.CPUCount,
		MemoryTotalBytes: row.MemoryTotalBytes, DiskTotalBytes: row.DiskTotalBytes,
	}
}

func loadedHostOf(row rows.GetHostLoadRow) LoadedHost {
	load := row.HostLoad
	return LoadedHost{
		Host:                 hostOf(row.Host),
		Allocated:            Resources{load.VCPUAllocated, load.MemoryMiBAllocated, load.DiskMiBAllocated},
		Capacity:             Resources{load.VCPUCapacity, load.MemoryMiBCapacity, load.DiskMiBCapacity},
		MemoryAvailableBytes: load.MemoryAvailableBytes, DiskAvailableBytes: load.DiskAvailableBytes,
		SandboxCount: load.SandboxCount, StartingCount: row.StartingCount, PausedCount: row.PausedCount, FailedCount: row.FailedCount,
		CreateSuccesses: load.CreateSuccesses, CreateFailures: load.CreateFailures,
	}
}

// get returns a host, a retired one too.
func (s store) get(ctx context.Context, hostID uuid.UUID) (Host, error) {
	row, err := s.queries.GetHost(ctx, hostID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Host{}, notFound(hostID)
	}
	if err != nil {
		return Host{}, fmt.Errorf("get host %s: %w", hostID, err)
	}
	return hostOf(row), nil
}

// list returns the hosts that are not retired, by name.
func (s store) list(ctx context.Context) ([]Host, error) {
	found, err := s.queries.ListHosts(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	hosts := make([]Host, 0, len(found))
	for _, row := range found {
		hosts = append(hosts, hostOf(row))
	}
	return hosts, nil
}

func (s store) getLoaded(ctx context.Context, hostID uuid.UUID) (LoadedHost, error) {
	row, err := s.queries.GetHostLoad(ctx, hostID)
	if errors.Is(err, pgx.ErrNoRows) {
		return LoadedHost{}, notFound(hostID)
	}
	if err != nil {
		return LoadedHost{}, fmt.Errorf("get host %s: %w", hostID, err)
	}
	return loadedHostOf(row), nil
}

func (s store) listLoaded(ctx context.Context) ([]LoadedHost, error) {
	found, err := s.queries.ListHostLoads(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	hosts := make([]LoadedHost, 0, len(found))
	for _, row := range found {
		hosts = append(hosts, loadedHostOf(rows.GetHostLoadRow(row)))
	}
	return hosts, nil
}

// ensureLocal returns the host of a name on this machine, and whether it is new.
func (s store) ensureLocal(ctx context.Context, name string) (host Host, isNew bool, err error) {
	newID := uuid.New()
	row, err := s.queries.EnsureHost(ctx, rows.EnsureHostParams{ID: newID, Name: name})
	if err != nil {
		return Host{}, false, fmt.Errorf("store host %s: %w", name, err)
	}
	return hostOf(row), row.ID == newID, nil
}

// join stores a machine as a host and reports whether it is new: one may join again
// until it has been reached. errNameTaken is returned where another host has the name.
func (s store) join(ctx context.Context, joining Joining, tags []string, overcommit Overcommit) (host Host, isNew bool, err error) {
	newID := uuid.New()
	row, err := s.queries.JoinHost(ctx, rows.JoinHostParams{
		ID: newID, Name: joining.Name, Address: joining.Address, Tags: tags,
		VCPUOvercommit: overcommit.VCPUs, MemoryOvercommit: overcommit.Memory, DiskOvercommit: overcommit.Disk,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Host{}, false, errNameTaken
	}
	if err != nil {
		return Host{}, false, fmt.Errorf("store host %s: %w", joining.Name, err)
	}
	return hostOf(row), row.ID == newID, nil
}

// registered is the event of a new host.
func registered(host Host) events.Draft { return eventOf(host, events.HostRegistered) }

func eventOf(host Host, kind events.Type) events.Draft {
	return events.Draft{
		TeamID: events.Installation, Type: kind, ResourceID: host.ID.String(),
		Data: map[string]string{"name": host.Name, "state": string(host.State)},
	}
}

// stateEvents are the events of a host that has come to a state.
var stateEvents = map[lifecycle.HostState]events.Type{
	lifecycle.HostReady: events.HostReady, lifecycle.HostDraining: events.HostDraining,
	lifecycle.HostUnreachable: events.HostUnreachable, lifecycle.HostRetired: events.HostRetired,
}

// move is the only way in which a host changes its state. It compares and sets, and
// returns operation.ErrOvertaken where the host is in another state by now. The event
// is the caller's to record, as the last statement of the transaction.
func (s store) move(ctx context.Context, host Host, next lifecycle.HostState) (events.Draft, error) {
	if !host.State.CanBecome(next) {
		return events.Draft{}, fmt.Errorf("host %s: no transition from %s to %s", host.ID, host.State, next)
	}
	wanted := host.DrainWanted
	switch next {
	case lifecycle.HostDraining:
		wanted = true
	case lifecycle.HostReady:
		wanted = false
	default:
	}
	row, err := s.queries.SetHostState(ctx, rows.SetHostStateParams{
		ID: host.ID, FromState: host.State, NextState: next, DrainWanted: wanted,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return events.Draft{}, operation.ErrOvertaken
	}
	if err != nil {
		return events.Draft{}, fmt.Errorf("move host %s to %s: %w", host.ID, next, err)
	}
	return eventOf(hostOf(row), stateEvents[next]), nil
}

func (s store) countSandboxes(ctx context.Context, hostID uuid.UUID) (int64, error) {
	count, err := s.queries.CountOnHost(ctx, hostID)
	if err != nil {
		return 0, fmt.Errorf("count the sandboxes of host %s: %w", hostID, err)
	}
	return count, nil
}

// freeName lets another machine have the name of a host that is retired.
func (s store) freeName(ctx context.Context, hostID uuid.UUID) error {
	if err := s.queries.FreeHostName(ctx, hostID); err != nil {
		return fmt.Errorf("free the name of host %s: %w", hostID, err)
	}
	return nil
}

// follow takes up to batch hosts that no living control plane follows.
func (s store) follow(ctx context.Context, follower, batch int32) error {
	if err := s.queries.FollowHosts(ctx, rows.FollowHostsParams{Follower: follower, Batch: batch}); err != nil {
		return fmt.Errorf("follow hosts: %w", err)
	}
	return nil
}

// heartbeat records what a host says of itself. It is no transaction: a placement
// locks these two rows in the other order.
func (s store) heartbeat(ctx context.Context, hostID uuid.UUID, info host.Info) (Host, error) {
	row, err := s.queries.UpdateHost(ctx, rows.UpdateHostParams{
		ID: hostID, Version: info.Version, Driver: info.Driver, Accelerator: info.Accelerator,
		CPUCount: info.CPUCount, MemoryTotalBytes: info.MemoryTotalBytes, DiskTotalBytes: info.DiskTotalBytes,
	})
	if err == nil {
		err = s.queries.UpdateHostLoad(ctx, rows.UpdateHostLoadParams{
			HostID: hostID, MemoryAvailableBytes: info.MemoryAvailableBytes, DiskAvailableBytes: info.DiskAvailableBytes,
		})
	}
	if err != nil {
		return Host{}, fmt.Errorf("record a heartbeat of host %s: %w", hostID, err)
	}
	return hostOf(row), nil
}

// createToken stores a token by its hash.
func (s store) createToken(ctx context.Context, hash []byte, tags []string, lifetime time.Duration) (Token, error) {
	row, err := s.queries.CreateHostToken(ctx, rows.CreateHostTokenParams{
		ID: uuid.New(), TokenHash: hash, Tags: append([]string{}, tags...), Lifetime: lifetime,
	})
	if err != nil {
		return Token{}, fmt.Errorf("store a host token: %w", err)
	}
	return Token{ID: row.ID, Tags: row.Tags, ExpiresAt: row.ExpiresAt}, nil
}

// useToken uses a token up; errNotValid is returned for one that is not valid.
func (s store) useToken(ctx context.Context, hash []byte) (Token, error) {
	row, err := s.queries.UseHostToken(ctx, hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return Token{}, errNotValid
	}
	if err != nil {
		return Token{}, fmt.Errorf("use a host token: %w", err)
	}
	return Token{ID: row.ID, Tags: row.Tags, ExpiresAt: row.ExpiresAt}, nil
}

func (s store) setTokenHost(ctx context.Context, token Token, hostID uuid.UUID) error {
	if err := s.queries.SetTokenHost(ctx, rows.SetTokenHostParams{ID: token.ID, HostID: &hostID}); err != nil {
		return fmt.Errorf("store who used a host token: %w", err)
	}
	return nil
}

func (s store) addCertificate(ctx context.Context, fingerprint []byte, hostID uuid.UUID, expiresAt time.Time) error {
	err := s.queries.StoreCertificate(ctx, rows.StoreCertificateParams{Fingerprint: fingerprint, HostID: hostID, ExpiresAt: expiresAt})
	if err != nil {
		return fmt.Errorf("store a host's certificate: %w", err)
	}
	return nil
}

// findCertificate returns the host that a certificate opens now; errNotValid is
// returned for one that opens none.
func (s store) findCertificate(ctx context.Context, fingerprint []byte) (uuid.UUID, error) {
	found, err := s.queries.FindCertificate(ctx, fingerprint)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, errNotValid
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("find a host's certificate: %w", err)
	}
	return found.HostID, nil
}

func (s store) revokeCertificates(ctx context.Context, hostID uuid.UUID) (int64, error) {
	revoked, err := s.queries.RevokeCertificates(ctx, hostID)
	if err != nil {
		return 0, fmt.Errorf("revoke the certificates of host %s: %w", hostID, err)
	}
	return revoked, nil
}

func (s store) deleteIdentityKeys(ctx context.Context, hostID uuid.UUID) error {
	return s.queries.DeleteIdentityKeys(ctx, hostID)
}

func (s store) identityKeyInUse(ctx context.Context, keyID string, hostID uuid.UUID, issuer string) (bool, error) {
	return s.queries.IsIdentityKeyInUse(ctx, rows.IsIdentityKeyInUseParams{ID: keyID, HostID: hostID, Issuer: issuer})
}

// retireIdentityKeys unpublishes all keys of a host but one, after a time.
func (s store) retireIdentityKeys(ctx context.Context, hostID uuid.UUID, currentID string, publish time.Duration) error {
	return s.queries.RetireIdentityKeys(ctx, rows.RetireIdentityKeysParams{HostID: hostID, CurrentID: currentID, Publish: publish})
}

// publishIdentityKey stores the public half of a host's key, and deletes what has
// expired.
func (s store) publishIdentityKey(ctx context.Context, hostID uuid.UUID, key *workload.Key) error {
	public, err := key.Public()
	if err != nil {
		return err
	}
	if err := s.queries.DeleteExpiredIdentityKeys(ctx); err != nil {
		return err
	}
	return s.queries.CreateIdentityKey(ctx, rows.CreateIdentityKeyParams{
		ID: key.ID, HostID: hostID, Issuer: key.Issuer, PublicKey: public, Use: signingKeyUse, Publish: signingKeyLife + signedFor,
	})
}

// publicKey is the published half of a host's signing key.
type publicKey struct {
	id  string
	der []byte
}

func (s store) publicKeys(ctx context.Context) ([]publicKey, error) {
	found, err := s.queries.ListIdentityKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list public keys: %w", err)
	}
	keys := make([]publicKey, 0, len(found))
	for _, row := range found {
		keys = append(keys, publicKey{row.ID, row.PublicKey})
	}
	return keys, nil
}
