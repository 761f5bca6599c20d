package identity

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

func teamOf(row rows.Team) Team {
	return Team{ID: row.ID, Slug: row.Slug, Name: row.Name, CreatedAt: row.CreatedAt.UTC(), Isolation: row.Isolation}
}

func (s *store) team(ctx context.Context, id uuid.UUID) (Team, error) {
	row, err := s.queries.GetTeam(ctx, id)
	return teamOf(row), db.OrElse(db.Wrap(err, "find team"), ErrNoTeam)
}

func (s *store) teamBySlug(ctx context.Context, slug string) (Team, error) {
	row, err := s.queries.FindTeamBySlug(ctx, slug)
	return teamOf(row), db.OrElse(db.Wrap(err, "find team by slug"), ErrNoTeam)
}

// ensureTeam makes the team of a slug where there is none.
func (s *store) ensureTeam(ctx context.Context, slug, name string) (Team, error) {
	row, err := s.queries.EnsureTeam(ctx, rows.EnsureTeamParams{ID: uuid.New(), Slug: slug, Name: name})
	return teamOf(row), db.Wrap(err, "make team")
}

// createTeam makes a team whose slug is its ID.
func (s *store) createTeam(ctx context.Context, name string) (Team, error) {
	id := uuid.New()
	row, err := s.queries.CreateTeam(ctx, rows.CreateTeamParams{ID: id, Slug: id.String(), Name: name})
	return teamOf(row), db.Wrap(err, "store team")
}

func (s *store) setTeamLimits(ctx context.Context, teamID uuid.UUID, limits config.TeamLimits) error {
	err := s.queries.SetTeamLimits(ctx, rows.SetTeamLimitsParams{
		TeamID: teamID, MaxSandboxes: narrow(limits.Sandboxes), MaxVCPUCount: limits.VCPUs, MaxMemoryMiB: limits.MemoryMiB,
		MaxDiskMiB: limits.DiskMiB, MaxBuilds: narrow(limits.Builds), MaxCreatesPerMinute: narrow(limits.CreatesPerMinute),
		MaxVolumes: narrow(limits.Volumes), MaxVolumeMiB: limits.VolumeMiB, MaxSecrets: narrow(limits.Secrets), MaxSnapshots: narrow(limits.Snapshots),
		MaxSandboxVCPUCount: limits.SandboxVCPUs, MaxSandboxMemoryMiB: limits.SandboxMemoryMiB, MaxSandboxDiskMiB: limits.SandboxDiskMiB,
	})
	return db.Wrap(err, "limit the team")
}

// narrow is for limits that the configuration keeps within 32 bits.
func narrow(limit *int64) *int32 {
	if limit == nil {
		return nil
	}
	narrowed := int32(*limit)
	return &narrowed
}

func (s *store) renameTeam(ctx context.Context, teamID uuid.UUID, name string) (Team, error) {
	row, err := s.queries.RenameTeam(ctx, rows.RenameTeamParams{ID: teamID, Name: name})
	return teamOf(row), db.OrElse(db.Wrap(err, "rename team"), ErrNoTeam)
}

// lockTeam serialises changes of a team's members.
func (s *store) lockTeam(ctx context.Context, id uuid.UUID) error {
	_, err := s.queries.LockTeam(ctx, id)
	return db.OrElse(db.Wrap(err, "lock team"), ErrNoTeam)
}

func (s *store) searchTeams(ctx context.Context, filter TeamFilter, skip, limit int) ([]Team, error) {
	found, err := s.queries.SearchTeams(ctx, rows.SearchTeamsParams{Name: filter.Name, Skip: int32(skip), PageSize: int32(limit)})
	if err != nil {
		return nil, db.Wrap(err, "list teams")
	}
	teams := make([]Team, 0, len(found))
	for _, row := range found {
		teams = append(teams, teamOf(row))
	}
	return teams, nil
}

func (s *store) countTeams(ctx context.Context, filter TeamFilter) (int64, error) {
	count, err := s.queries.CountTeams(ctx, filter.Name)
	return count, db.Wrap(err, "count teams")
}

func (s *store) membershipsOf(ctx context.Context, userID uuid.UUID) ([]Membership, error) {
	found, err := s.queries.ListTeamsOfUser(ctx, userID)
	if err != nil {
		return nil, db.Wrap(err, "list teams")
	}
	memberships := make([]Membership, 0, len(found))
	for _, row := range found {
		memberships = append(memberships, Membership{Team: teamOf(row.Team), Role: auth.Role(row.Role), JoinedAt: row.JoinedAt.UTC()})
	}
	return memberships, nil
}

func (s *store) roleOf(ctx context.Context, teamID, userID uuid.UUID) (auth.Role, error) {
	row, err := s.queries.FindMembership(ctx, rows.FindMembershipParams{UserID: userID, TeamID: &teamID})
	return auth.Role(row.Role), db.Wrap(err, "find member")
}

func (s *store) members(ctx context.Context, teamID uuid.UUID) ([]Member, error) {
	found, err := s.queries.ListMembers(ctx, teamID)
	if err != nil {
		return nil, db.Wrap(err, "list members")
	}
	members := make([]Member, 0, len(found))
	for _, row := range found {
		members = append(members, Member{
			UserID: row.UserID, Email: row.Email, Name: row.Name, Role: auth.Role(row.Role),
			HasSecondFactor: row.HasSecondFactor, JoinedAt: row.CreatedAt.UTC(),
		})
	}
	return members, nil
}

func (s *store) countOwners(ctx context.Context, teamID uuid.UUID) (int64, error) {
	count, err := s.queries.CountOwners(ctx, teamID)
	return count, db.Wrap(err, "count owners")
}

func memberEvent(kind events.Type, teamID, userID uuid.UUID, role auth.Role) events.Draft {
	return events.Draft{TeamID: teamID, Type: kind, ResourceID: userID.String(), Data: map[string]auth.Role{"role": role}}
}

// addMember leaves a member as it is.
func (c *changes) addMember(ctx context.Context, teamID, userID uuid.UUID, role auth.Role) error {
	added, err := c.queries.AddMember(ctx, rows.AddMemberParams{TeamID: teamID, UserID: userID, Role: string(role)})
	if err != nil {
		return db.Wrap(err, "add member")
	}
	if added > 0 {
		c.record(memberEvent(events.MemberAdded, teamID, userID, role))
	}
	return nil
}

func (c *changes) setRole(ctx context.Context, teamID, userID uuid.UUID, role auth.Role) error {
	count, err := c.queries.SetMemberRole(ctx, rows.SetMemberRoleParams{TeamID: teamID, UserID: userID, Role: string(role)})
	if err := db.WrapCount(count, err, "set role"); err != nil {
		return err
	}
	c.record(memberEvent(events.MemberUpdated, teamID, userID, role))
	return nil
}

func (c *changes) removeMember(ctx context.Context, teamID, userID uuid.UUID) error {
	role, err := c.queries.RemoveMember(ctx, rows.RemoveMemberParams{TeamID: teamID, UserID: userID})
	if err != nil {
		return db.Wrap(err, "remove member")
	}
	c.record(memberEvent(events.MemberRemoved, teamID, userID, auth.Role(role)))
	return nil
}

// raiseEpochsOf revokes the tokens of sandboxes and volumes of the teams that a user is
// in or made API keys for.
func (s *store) raiseEpochsOf(ctx context.Context, userID uuid.UUID) error {
	return db.Wrap(s.queries.RaiseTokenEpochsOf(ctx, userID), "revoke the tokens of a user's teams")
}
