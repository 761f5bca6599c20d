package volumes

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
)

// errNoVolume says that there is no such volume, or no host for one.
var errNoVolume = errors.New("there is no such volume")

// store maps rows to volumes.
type store struct {
	conn    db.Conn
	queries *rows.Queries
}

func newStore(conn db.Conn) *store { return &store{conn, rows.New(conn)} }

func fromRow(row rows.Volume) Volume {
	return Volume{
		ID: row.ID, TeamID: row.TeamID, HostID: row.HostID, Name: row.Name, MaxMiB: row.MaxMiB,
		CreatedAt: row.CreatedAt, unusable: row.Deleting,
	}
}

func one(row rows.Volume, err error) (Volume, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Volume{}, errNoVolume
	}
	if err != nil {
		return Volume{}, err
	}
	return fromRow(row), nil
}

func all(found []rows.Volume, err error) ([]Volume, error) {
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	volumes := make([]Volume, 0, len(found))
	for _, row := range found {
		volumes = append(volumes, fromRow(row))
	}
	return volumes, nil
}

func (s *store) lockTeam(ctx context.Context, teamID uuid.UUID) error {
	if _, err := s.queries.LockTeam(ctx, teamID); err != nil {
		return fmt.Errorf("lock team %s: %w", teamID, err)
	}
	return nil
}

// list returns a team's usable volumes, the oldest first.
func (s *store) list(ctx context.Context, teamID uuid.UUID) ([]Volume, error) {
	return all(s.queries.ListVolumes(ctx, teamID))
}

// named returns those of a team's usable volumes that have one of the names.
func (s *store) named(ctx context.Context, teamID uuid.UUID, names []string) ([]Volume, error) {
	return all(s.queries.FindVolumes(ctx, rows.FindVolumesParams{TeamID: teamID, Names: names}))
}

func (s *store) get(ctx context.Context, volumeID string) (Volume, error) {
	return one(s.queries.GetVolume(ctx, volumeID))
}

// getWithEpoch is get with what the volume's token is derived from.
func (s *store) getWithEpoch(ctx context.Context, volumeID string) (Volume, int64, error) {
	row, err := s.queries.GetVolumeWithEpoch(ctx, volumeID)
	volume, err := one(row.Volume, err)
	return volume, row.TeamEpoch, err
}

func (s *store) tokenEpoch(ctx context.Context, teamID uuid.UUID) (int64, error) {
	return s.queries.GetTokenEpoch(ctx, teamID)
}

// lock holds a volume's row until the transaction ends: no sandbox begins to mount it.
func (s *store) lock(ctx context.Context, teamID uuid.UUID, volumeID string) (Volume, error) {
	return one(s.queries.LockVolume(ctx, rows.LockVolumeParams{ID: volumeID, TeamID: teamID}))
}

// users returns at most a number of the sandboxes that mount a volume, the paused ones
// too.
func (s *store) users(ctx context.Context, volumeID string, most int) ([]string, error) {
	users, err := s.queries.ListVolumeUsers(ctx, rows.ListVolumeUsersParams{VolumeID: volumeID, Most: int32(most)})
	if err != nil {
		return nil, fmt.Errorf("list the sandboxes that mount volume %s: %w", volumeID, err)
	}
	return users, nil
}

// count returns how many volumes a team has, the unusable ones too, and whether a usable
// one has the name.
func (s *store) count(ctx context.Context, teamID uuid.UUID, name string) (count int64, taken bool, err error) {
	has, err := s.queries.CountVolumes(ctx, rows.CountVolumesParams{TeamID: teamID, Name: name})
	if err != nil {
		return 0, false, fmt.Errorf("count volumes: %w", err)
	}
	return has.Volumes, has.Named, nil
}

// create stores an unusable volume on the host with the most room. It returns
// errNoVolume where no host is ready.
func (s *store) create(ctx context.Context, wanted Volume) (Volume, error) {
	return one(s.queries.CreateVolume(ctx, rows.CreateVolumeParams{
		ID: wanted.ID, TeamID: wanted.TeamID, Name: wanted.Name, MaxMiB: wanted.MaxMiB,
	}))
}

// finish makes a volume usable. It returns errNoVolume where it was deleted meanwhile.
func (s *store) finish(ctx context.Context, volumeID string) (Volume, error) {
	return one(s.queries.FinishVolume(ctx, volumeID))
}

func (s *store) setUnusable(ctx context.Context, volumeID string) error {
	return s.queries.SetVolumeDeleting(ctx, volumeID)
}

func (s *store) delete(ctx context.Context, volumeID string) error {
	if err := s.queries.DeleteVolume(ctx, volumeID); err != nil {
		return fmt.Errorf("delete the row of volume %s: %w", volumeID, err)
	}
	return nil
}

// unfinished returns at most a number of a host's volumes that have been unusable for
// longer than a time.
func (s *store) unfinished(ctx context.Context, hostID uuid.UUID, olderThan time.Duration, most int) ([]string, error) {
	found, err := s.queries.ListUnfinishedVolumes(ctx, rows.ListUnfinishedVolumesParams{
		HostID: hostID, OlderThan: olderThan, Most: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list unfinished volumes: %w", err)
	}
	return found, nil
}

func (s *store) countOnHost(ctx context.Context, hostID uuid.UUID) (int64, error) {
	count, err := s.queries.CountVolumesOnHost(ctx, hostID)
	if err != nil {
		return 0, fmt.Errorf("count the volumes of host %s: %w", hostID, err)
	}
	return count, nil
}

// deleteOnHost returns what it has deleted.
func (s *store) deleteOnHost(ctx context.Context, hostID uuid.UUID) ([]Volume, error) {
	gone, err := all(s.queries.DeleteVolumesOnHost(ctx, hostID))
	if err != nil {
		return nil, fmt.Errorf("delete the rows of host %s: %w", hostID, err)
	}
	return gone, nil
}

// record writes an event. It is the last statement of its transaction.
func (s *store) record(ctx context.Context, kind events.Type, volume Volume) error {
	return events.RecordAll(ctx, s.conn, draft(kind, volume))
}

func draft(kind events.Type, volume Volume) events.Draft {
	return events.Draft{TeamID: volume.TeamID, Type: kind, ResourceID: volume.ID, Data: map[string]string{"name": volume.Name}}
}
