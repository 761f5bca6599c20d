// Package volumes holds the rules of volumes: directories of a team that outlive its
// sandboxes.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// maxVolumes is how many volumes a team has at most.
const maxVolumes = 1000

// NamePattern is what a volume may be called.
var NamePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// Hosts finds the link to the host of a volume; nil where there is none.
type Hosts interface {
	Link(hostID uuid.UUID) *host.Link
}

// Volume is a directory of a team that outlives its sandboxes. It is on one host.
type Volume struct {
	ID     string
	TeamID uuid.UUID
	HostID uuid.UUID
	Name   string
	// MaxMiB is how much it holds at most; 0 is no limit.
	MaxMiB    int64
	CreatedAt time.Time

	// unusable: being created, or being deleted.
	unusable bool
}

// Service creates, opens and deletes volumes.
type Service struct {
	pool       *pgxpool.Pool
	hosts      Hosts
	tokens     *auth.Tokens
	log        *slog.Logger
	defaultMiB int64
}

// New makes the service. A volume whose creator names no size holds defaultMiB; 0 is no
// limit.
func New(pool *pgxpool.Pool, hosts Hosts, tokens *auth.Tokens, defaultMiB int64, log *slog.Logger) *Service {
	return &Service{pool: pool, hosts: hosts, tokens: tokens, log: log, defaultMiB: defaultMiB}
}

// List returns a team's volumes, the oldest first.
func (v *Service) List(ctx context.Context, teamID uuid.UUID) ([]Volume, error) {
	return newStore(v.pool).list(ctx, teamID)
}

// Get returns a team's volume.
func (v *Service) Get(ctx context.Context, teamID uuid.UUID, volumeID string) (Volume, error) {
	if !id.IsVolume(volumeID) {
		return Volume{}, notFound(volumeID)
	}
	volume, err := newStore(v.pool).get(ctx, volumeID)
	if errors.Is(err, errNoVolume) || err == nil && (volume.unusable || volume.TeamID != teamID) {
		return Volume{}, notFound(volumeID)
	}
	if err != nil {
		return Volume{}, fmt.Errorf("get volume %s: %w", volumeID, err)
	}
	return volume, nil
}

// NewVolume is a volume that a team wants.
type NewVolume struct {
	// Name is unique in the team.
	Name string
	// MaxMiB is how much it may hold; nil is the default.
	MaxMiB *int64
}

// Create makes an empty volume on the host with the most room.
func (v *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewVolume) (Volume, error) {
	if !NamePattern.MatchString(wanted.Name) {
		return Volume{}, fault.New(fault.Invalid, "name must be letters, digits, dashes and underscores, from 1 to 128")
	}
	var volume Volume
	err := pgx.BeginFunc(ctx, v.pool, func(tx pgx.Tx) (err error) {
		volume, err = v.claim(ctx, newStore(tx), teamID, wanted)
		return err
	})
	if err != nil {
		return Volume{}, err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	err = v.onHost(volume, func(link *host.Link) error { return link.CreateVolume(ctx, volume.ID, volume.MaxMiB<<20) })
	usable := volume
	if err == nil {
		usable, err = v.finish(ctx, volume)
	}
	if err != nil {
		// The host may have created it all the same.
		return Volume{}, errors.Join(err, v.remove(ctx, volume))
	}
	v.log.InfoContext(ctx, "volume created", "volume", volume.ID, "host", volume.HostID)
	return usable, nil
}

// claim stores an unusable volume. It holds the team's row, so that requests at once do
// not create more volumes than the team may have.
func (v *Service) claim(ctx context.Context, tx *store, teamID uuid.UUID, wanted NewVolume) (Volume, error) {
	if err := tx.lockTeam(ctx, teamID); err != nil {
		return Volume{}, err
	}
	maxMiB, most, err := v.allowed(ctx, tx, teamID, wanted.MaxMiB)
	if err != nil {
		return Volume{}, err
	}
	count, taken, err := tx.count(ctx, teamID, wanted.Name)
	switch {
	case err != nil:
		return Volume{}, err
	case taken:
		return Volume{}, nameTaken(wanted.Name)
	case count >= most:
		return Volume{}, fault.New(fault.Conflict, "the team has %d volumes, which is the most", count)
	}
	volume, err := tx.create(ctx, Volume{ID: id.NewVolume(), TeamID: teamID, Name: wanted.Name, MaxMiB: maxMiB})
	if errors.Is(err, errNoVolume) {
		return Volume{}, fault.New(fault.Unavailable, "no host is ready at the moment")
	}
	if err != nil {
		return Volume{}, fmt.Errorf("store volume: %w", err)
	}
	return volume, nil
}

// largestVolumeMiB is an exbibyte: its bytes are a number of 64 bits.
const largestVolumeMiB = 1 << 40

// allowed returns how much a volume may hold, where 0 is no limit, and how many volumes
// the team may have.
func (v *Service) allowed(ctx context.Context, tx *store, teamID uuid.UUID, wantedMiB *int64) (maxMiB, most int64, err error) {
	limits, err := usage.LimitsOf(ctx, tx.conn, teamID)
	if err != nil {
		return 0, 0, err
	}
	most = maxVolumes
	if limits.MaxVolumes != nil {
		most = min(*limits.MaxVolumes, maxVolumes)
	}
	maxMiB = v.defaultMiB
	if limits.MaxVolumeMiB != nil && (maxMiB == 0 || maxMiB > *limits.MaxVolumeMiB) {
		maxMiB = *limits.MaxVolumeMiB
	}
	if wantedMiB != nil {
		maxMiB = *wantedMiB
	}
	switch {
	case wantedMiB != nil && (maxMiB < 1 || maxMiB > largestVolumeMiB):
		return 0, 0, fault.New(fault.Invalid, "maxSizeMiB must be from 1 to %d", largestVolumeMiB)
	case limits.MaxVolumeMiB != nil && (maxMiB > *limits.MaxVolumeMiB || maxMiB == 0):
		return 0, 0, fault.New(fault.RateLimited, "a volume of this team may hold at most %d MiB", *limits.MaxVolumeMiB).Because(fault.TeamLimit)
	}
	return maxMiB, most, nil
}

func nameTaken(name string) error {
	return fault.New(fault.Invalid, "the team has a volume %q already", name)
}

// finish makes a volume usable that its host has created.
func (v *Service) finish(ctx context.Context, volume Volume) (usable Volume, err error) {
	err = pgx.BeginFunc(ctx, v.pool, func(conn pgx.Tx) error {
		tx := newStore(conn)
		if usable, err = tx.finish(ctx, volume.ID); err != nil {
			return err
		}
		return tx.record(ctx, events.VolumeCreated, usable)
	})
	switch {
	case errors.Is(err, errNoVolume):
		return Volume{}, fault.New(fault.Unavailable, "making the volume took too long; try again")
	case db.IsUniqueViolation(err):
		return Volume{}, nameTaken(volume.Name)
	case err != nil:
		return Volume{}, fmt.Errorf("store volume: %w", err)
	}
	return usable, nil
}

func (v *Service) onHost(volume Volume, ask func(*host.Link) error) error {
	link := v.hosts.Link(volume.HostID)
	if link == nil {
		return host.Unreachable()
	}
	return ask(link)
}

// Token opens the content of a volume, and of no other.
func (v *Service) Token(ctx context.Context, volume Volume) (string, error) {
	epoch, err := newStore(v.pool).tokenEpoch(ctx, volume.TeamID)
	if err != nil {
		return "", fmt.Errorf("get the token epoch of volume %s: %w", volume.ID, err)
	}
	return v.tokens.VolumeAccess(volume.ID, epoch), nil
}

// Open returns the link to a volume's host, for a request that has the volume's token.
func (v *Service) Open(ctx context.Context, volumeID, token string) (*host.Link, error) {
	wrongToken := fault.New(fault.Unauthenticated, "the volume's token is not valid")
	if !id.IsVolume(volumeID) || token == "" {
		return nil, wrongToken
	}
	volume, epoch, err := newStore(v.pool).getWithEpoch(ctx, volumeID)
	switch {
	case errors.Is(err, errNoVolume):
		return nil, notFound(volumeID)
	case err != nil:
		return nil, fmt.Errorf("get volume %s: %w", volumeID, err)
	case !auth.Equal(token, v.tokens.VolumeAccess(volumeID, epoch)):
		return nil, wrongToken
	case volume.unusable:
		return nil, notFound(volumeID)
	}
	link := v.hosts.Link(volume.HostID)
	if link == nil {
		return nil, host.Unreachable()
	}
	return link, nil
}

func notFound(volumeID string) error {
	if !id.IsPlausible(volumeID) {
		return fault.New(fault.Invalid, "volumeID is malformed")
	}
	return fault.New(fault.NotFound, "volume %q was not found", id.Shorten(volumeID))
}
