package builds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

const maxCredentialsBytes = 64 << 10

// Start starts a build that waits. It returns Conflict for one that was started
// or has ended already.
func (s *Service) Start(
	ctx context.Context, teamID uuid.UUID, template, buildID string, definition build.Definition, confidential build.Confidential,
) error {
	of, err := s.findOwn(ctx, teamID, template, buildID)
	if err != nil {
		return err
	}
	var sealed []byte
	if !confidential.IsEmpty() {
		if sealed, err = s.seal(of, confidential); err != nil {
			return err
		}
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return s.start(ctx, tx, of.ID, teamID, definition, sealed)
	})
	if errors.Is(err, errNoRow) {
		return notFound(buildID)
	}
	if err == nil {
		s.logger(of).InfoContext(ctx, "build started", "host", of.HostID)
	}
	return err
}

// start is called in a transaction. Lock order: the team's account, then the build.
func (s *Service) start(ctx context.Context, tx pgx.Tx, buildID, teamID uuid.UUID, definition build.Definition, sealed []byte) error {
	if err := usage.Lock(ctx, tx, teamID); err != nil {
		return err
	}
	changes := newChanges(tx)
	of, err := changes.lock(ctx, buildID)
	if err != nil {
		return err
	}
	switch {
	case of.Failure.Cause != "":
		return fault.New(fault.Conflict, "build %s has ended: %s", of.ID, of.Failure.Message)
	case of.Status != templates.StatusWaiting:
		return fault.New(fault.Conflict, "build %s was started already", of.ID)
	}
	building, _, err := changes.countUnfinished(ctx, teamID)
	if err != nil {
		return err
	}
	if err := withinLimit(ctx, tx, teamID, building); err != nil {
		return err
	}
	of.Definition, of.sealed = definition, sealed
	if err := changes.start(ctx, of); err != nil {
		return err
	}
	if err := s.enqueue(ctx, tx, Job{BuildID: of.ID, Turn: 1}); err != nil {
		return err
	}
	return changes.record(ctx)
}

// purpose is what the confidential part of a build is sealed for.
func purpose(teamID, buildID uuid.UUID) string {
	return "build:" + teamID.String() + ":" + buildID.String()
}

func (s *Service) seal(of Build, confidential build.Confidential) ([]byte, error) {
	plain, err := json.Marshal(confidential)
	if err != nil {
		return nil, fmt.Errorf("encode the credentials of build %s: %w", of.ID, err)
	}
	if len(plain) > maxCredentialsBytes {
		return nil, fault.New(fault.Invalid, "credentials and secrets may have at most %d bytes in all", maxCredentialsBytes)
	}
	sealed, err := s.keyring.Seal(plain, purpose(of.TeamID, of.ID))
	if err != nil {
		return nil, fmt.Errorf("seal the credentials of build %s: %w", of.ID, err)
	}
	return sealed, nil
}

func (s *Service) open(of Build) (build.Confidential, error) {
	var confidential build.Confidential
	if of.sealed == nil {
		return confidential, nil
	}
	plain, err := s.keyring.Open(of.sealed, purpose(of.TeamID, of.ID))
	if err == nil {
		err = json.Unmarshal(plain, &confidential)
	}
	if err != nil {
		return build.Confidential{}, fmt.Errorf("open the credentials of build %s: %w", of.ID, err)
	}
	return confidential, nil
}

// findOwn returns a build of a template of the team, both as clients name them.
func (s *Service) findOwn(ctx context.Context, teamID uuid.UUID, template, buildID string) (Build, error) {
	parsed, err := uuid.Parse(buildID)
	if err != nil {
		return Build{}, fault.New(fault.Invalid, "buildID is not a UUID")
	}
	name, err := templates.ParseName("templateID", template)
	if err != nil {
		return Build{}, err
	}
	store := newStore(s.pool)
	owned, err := store.ownTemplate(ctx, teamID, name.Alias())
	if errors.Is(err, errNoRow) || fault.Is(err, fault.Conflict) {
		return Build{}, fault.New(fault.NotFound, "template %.64q was not found", template)
	}
	if err != nil {
		return Build{}, err
	}
	of, _, err := store.get(ctx, parsed)
	if errors.Is(err, errNoRow) || err == nil && (of.TemplateID != owned || of.TeamID != teamID) {
		return Build{}, notFound(buildID)
	}
	return of, err
}

func notFound(buildID string) error {
	return fault.New(fault.NotFound, "build %.64s was not found", buildID)
}
