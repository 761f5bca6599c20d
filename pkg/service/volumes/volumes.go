// Package volumes holds the rules of volumes: directories of a team that outlive its
// sandboxes.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

const (
	// maxVolumes is how many volumes a team has at most.
	maxVolumes = 1000
	// namedUsers is how many sandboxes are named that keep a volume from being
	// deleted.
	namedUsers = 5
)

// volumeName is what a volume may be called.
var NamePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// VolumeHosts finds the way to the host of a volume; nil where it is not known.
type Hosts interface {
	Link(hostID uuid.UUID) *host.Link
}

// Volumes is the service of volumes: directories of a team that outlive sandboxes.
type Service struct {
	Pool   *pgxpool.Pool
	Hosts  Hosts
	Tokens *auth.Tokens
	Log    *slog.Logger
	// DefaultMiB is how much a volume holds whose maker named no size; 0 is no limit.
	DefaultMiB int64
}

// List returns a team's volumes, the oldest first.
func (v *Service) List(ctx context.Context, teamID uuid.UUID) ([]rows.Volume, error) {
	volumes, err := rows.New(v.Pool).ListVolumes(ctx, teamID)
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	return volumes, nil
}

// Get returns a team's volume.
func (v *Service) Get(ctx context.Context, teamID uuid.UUID, volumeID string) (rows.Volume, error) {
	volume, err := v.find(ctx, volumeID)
	if err == nil && volume.TeamID != teamID {
		return rows.Volume{}, notFound(volumeID)
	}
	return volume, err
}

func (v *Service) find(ctx context.Context, volumeID string) (rows.Volume, error) {
	if !id.IsVolume(volumeID) {
		return rows.Volume{}, notFound(volumeID)
	}
	volume, err := rows.New(v.Pool).GetVolume(ctx, volumeID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && volume.Deleting {
		return rows.Volume{}, notFound(volumeID)
	}
	if err != nil {
		return rows.Volume{}, fmt.Errorf("get volume %s: %w", volumeID, err)
	}
	return volume, nil
}

// NewVolume is a volume that a team wants.
type NewVolume struct {
	// Name is the team's own.
	Name string
	// MaxMiB is how much it may hold; nil is DefaultMiB.
	MaxMiB *int64
}

// Create makes an empty volume on the host with the most room.
func (v *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewVolume) (rows.Volume, error) {
	if !NamePattern.MatchString(wanted.Name) {
		return rows.Volume{}, fault.New(fault.Invalid, "name must be letters, digits, dashes and underscores, from 1 to 128")
	}
	queries := rows.New(v.Pool)
	var volume rows.Volume
	err := pgx.BeginFunc(ctx, v.Pool, func(tx pgx.Tx) (err error) {
		volume, err = v.claim(ctx, rows.New(tx), teamID, wanted)
		return err
	})
	if err != nil {
		return rows.Volume{}, err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	err = v.onHost(volume, func(link *host.Link) error { return link.CreateVolume(ctx, volume.ID, volume.MaxMiB<<20) })
	if err == nil {
		volume, err = finish(ctx, queries, volume)
	}
	if err != nil {
		// An error does not say that nothing was made.
		return rows.Volume{}, errors.Join(err, v.remove(ctx, volume))
	}
	v.Log.Info("volume created", "volume", volume.ID, "host", volume.HostID)
	return volume, nil
}

// claim stores a volume that nobody may use yet. It holds the team's row, so that
// requests at once do not make more volumes than the team may have.
func (v *Service) claim(ctx context.Context, queries *rows.Queries, teamID uuid.UUID, wanted NewVolume) (rows.Volume, error) {
	if _, err := queries.LockTeam(ctx, teamID); err != nil {
		return rows.Volume{}, fmt.Errorf("lock team %s: %w", teamID, err)
	}
	maxMiB, most, err := v.allowed(ctx, queries, teamID, wanted.MaxMiB)
	if err != nil {
		return rows.Volume{}, err
	}
	has, err := queries.CountVolumes(ctx, rows.CountVolumesParams{TeamID: teamID, Name: wanted.Name})
	switch {
	case err != nil:
		return rows.Volume{}, fmt.Errorf("count volumes: %w", err)
	case has.Named:
		return rows.Volume{}, nameTaken(wanted.Name)
	case has.Volumes >= most:
		return rows.Volume{}, fault.New(fault.Conflict, "the team has %d volumes, which is the most", has.Volumes)
	}
	volume, err := queries.CreateVolume(ctx, rows.CreateVolumeParams{
		ID: id.NewVolume(), TeamID: teamID, Name: wanted.Name, MaxMiB: maxMiB,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Volume{}, fault.New(fault.Unavailable, "no host is ready at the moment")
	}
	if err != nil {
		return rows.Volume{}, fmt.Errorf("store volume: %w", err)
	}
	return volume, nil
}

// largestVolumeMiB is an exbibyte: its bytes are a number of 64 bits.
const largestVolumeMiB = 1 << 40

// allowed is how much a volume may hold and how many of them the team may have.
// Zero MiB is no limit.
func (v *Service) allowed(ctx context.Context, queries *rows.Queries, teamID uuid.UUID, wantedMiB *int64) (maxMiB, most int64, err error) {
	limits, err := usage.LimitsOf(ctx, queries, teamID)
	if err != nil {
		return 0, 0, err
	}
	most = maxVolumes
	if limits.MaxVolumes != nil {
		most = min(int64(*limits.MaxVolumes), maxVolumes)
	}
	maxMiB = v.DefaultMiB
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

// finish lets a volume be used that its host has made.
func finish(ctx context.Context, queries *rows.Queries, volume rows.Volume) (rows.Volume, error) {
	usable, err := queries.FinishVolume(ctx, volume.ID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return volume, fault.New(fault.Unavailable, "making the volume took too long; try again")
	case db.IsUniqueViolation(err):
		return volume, nameTaken(volume.Name)
	case err != nil:
		return volume, fmt.Errorf("store volume: %w", err)
	}
	return usable, nil
}

// remove deletes a volume that nobody may use, on its host and then here. Where
// that fails, whoever follows the host tries again.
func (v *Service) remove(ctx context.Context, volume rows.Volume) error {
	if err := v.onHost(volume, func(link *host.Link) error { return link.DeleteVolume(ctx, volume.ID) }); err != nil {
		return err
	}
	if err := rows.New(v.Pool).DeleteVolume(ctx, volume.ID); err != nil {
		return fmt.Errorf("forget volume %s: %w", volume.ID, err)
	}
	return nil
}

func (v *Service) onHost(volume rows.Volume, ask func(*host.Link) error) error {
	link := v.Hosts.Link(volume.HostID)
	if link == nil {
		return host.Unreachable()
	}
	return ask(link)
}

// Delete deletes a volume and all that is in it. It answers Conflict as long as a
// sandbox mounts it, paused or not. Where the host is away the volume cannot be
// used any more, and is deleted when the host is back, or by the next Delete.
func (v *Service) Delete(ctx context.Context, teamID uuid.UUID, volumeID string) error {
	if !id.IsVolume(volumeID) {
		return notFound(volumeID)
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	volume, err := v.giveUp(ctx, teamID, volumeID)
	if err != nil {
		return err
	}
	if err := v.remove(ctx, volume); err != nil {
		return err
	}
	v.Log.Info("volume deleted", "volume", volume.ID, "host", volume.HostID)
	return nil
}

// giveUp makes sure that nobody mounts a volume now or later.
func (v *Service) giveUp(ctx context.Context, teamID uuid.UUID, volumeID string) (volume rows.Volume, err error) {
	err = pgx.BeginFunc(ctx, v.Pool, func(tx pgx.Tx) error {
		queries := rows.New(tx)
		volume, err = queries.LockVolume(ctx, rows.LockVolumeParams{ID: volumeID, TeamID: teamID})
		if errors.Is(err, pgx.ErrNoRows) {
			return notFound(volumeID)
		}
		if err != nil {
			return fmt.Errorf("get volume %s: %w", volumeID, err)
		}
		// A statement of its own sees what was committed while the lock was waited for.
		users, err := queries.ListVolumeUsers(ctx, rows.ListVolumeUsersParams{VolumeID: volumeID, Most: namedUsers + 1})
		if err != nil {
			return fmt.Errorf("list who mounts volume %s: %w", volumeID, err)
		}
		if len(users) > 0 {
			return fault.New(fault.Conflict, "volume %s is mounted by %s; kill them first", volumeID, naming(users))
		}
		return queries.SetVolumeDeleting(ctx, volumeID)
	})
	return volume, err
}

func naming(sandboxes []string) string {
	if len(sandboxes) > namedUsers {
		return "sandboxes " + strings.Join(sandboxes[:namedUsers], ", ") + " and others"
	}
	return "the sandboxes " + strings.Join(sandboxes, ", ")
}

// Token opens the content of a volume, and of no other.
func (v *Service) Token(ctx context.Context, volume rows.Volume) (string, error) {
	epoch, err := rows.New(v.Pool).GetTokenEpoch(ctx, volume.TeamID)
	if err != nil {
		return "", fmt.Errorf("get the token epoch of volume %s: %w", volume.ID, err)
	}
	return v.Tokens.VolumeAccess(volume.ID, epoch), nil
}

// Open finds the way to a volume's content for whoever has its token.
func (v *Service) Open(ctx context.Context, volumeID, token string) (*host.Link, error) {
	wrongToken := fault.New(fault.Unauthenticated, "the volume's token is not valid")
	if !id.IsVolume(volumeID) || token == "" {
		return nil, wrongToken
	}
	found, err := rows.New(v.Pool).GetVolumeWithEpoch(ctx, volumeID)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, notFound(volumeID)
	case err != nil:
		return nil, fmt.Errorf("get volume %s: %w", volumeID, err)
	case !auth.Equal(token, v.Tokens.VolumeAccess(volumeID, found.TeamEpoch)):
		return nil, wrongToken
	case found.Volume.Deleting:
		return nil, notFound(volumeID)
	}
	link := v.Hosts.Link(found.Volume.HostID)
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
