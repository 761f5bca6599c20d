// Package secrets stores values that a team's sandboxes put into requests and never
// see.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

const (
	// maxSecrets is how many secrets a team has at most.
	maxSecrets = 1000
	// maxSecretBytes bounds a value. The header that it becomes part of takes less.
	maxSecretBytes = 64 << 10
	// The bounds of a secret's metadata, in bytes but for the number of pairs.
	maxSecretPairs         = 32
	maxSecretMetadataKey   = 128
	maxSecretMetadataValue = 1024
	maxSecretMetadata      = 8192
)

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// Queue is the part of the job queue that secrets need.
type Queue interface {
	InsertTx(ctx context.Context, tx pgx.Tx, job river.JobArgs, options *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// Secret is a secret without its value.
type Secret struct {
	ID     string
	TeamID uuid.UUID
	// Name is in lower case.
	Name string
	// Version counts the values that the secret has had.
	Version              int64
	Metadata             map[string]string
	CreatedAt, UpdatedAt time.Time

	sealed []byte
}

// Service stores secrets: values that a team's sandboxes put into requests and never
// see. Only Resolve, which is for hosts, returns a value.
type Service struct {
	pool    *pgxpool.Pool
	keyring *seal.Keyring
	queue   Queue
	log     *slog.Logger
}

// New seals values with a keyring. The queue brings changes to running sandboxes.
func New(pool *pgxpool.Pool, keyring *seal.Keyring, queue Queue, log *slog.Logger) *Service {
	return &Service{pool: pool, keyring: keyring, queue: queue, log: log}
}

// NewSecret is a secret that a team wants.
type NewSecret struct {
	// Name is unique in the team, and not case-sensitive.
	Name     string
	Value    string
	Metadata map[string]string
}

// Page is one page of a list of secrets.
type Page struct {
	Secrets []Secret
	// NextToken is empty on the last page.
	NextToken string
}

// Create stores a secret under a name that the team has not used.
func (s *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewSecret) (made Secret, err error) {
	name := strings.ToLower(wanted.Name)
	switch {
	case !namePattern.MatchString(wanted.Name):
		return Secret{}, fault.New(fault.Invalid, "name must be letters, digits, dashes and underscores, from 1 to 128")
	case strings.HasPrefix(name, id.SecretPrefix):
		return Secret{}, fault.New(fault.Invalid, "name must not begin with %s, as the IDs of secrets do", id.SecretPrefix)
	}
	if err := check(wanted.Value, wanted.Metadata); err != nil {
		return Secret{}, err
	}
	made = Secret{ID: id.NewSecret(), TeamID: teamID, Name: name, Metadata: wanted.Metadata}
	if made.Metadata == nil {
		made.Metadata = map[string]string{}
	}
	if made.sealed, err = s.keyring.Seal([]byte(wanted.Value), purpose(teamID, made.ID)); err != nil {
		return Secret{}, fmt.Errorf("seal secret: %w", err)
	}
	err = s.change(ctx, events.SecretCreated, func(tx *store) (Secret, error) {
		if err := mayHaveMore(ctx, tx, teamID); err != nil {
			return Secret{}, err
		}
		made, err = tx.create(ctx, made)
		return made, err
	})
	switch {
	case db.IsUniqueViolation(err):
		return Secret{}, fault.New(fault.Conflict, "the team has a secret %q already", name)
	case err != nil:
		return Secret{}, fmt.Errorf("store secret: %w", err)
	}
	s.log.InfoContext(ctx, "secret created", "secret", made.ID, "team", teamID)
	return made, nil
}

// mayHaveMore holds the team's row, so that requests at once do not store more secrets
// than the team may have.
func mayHaveMore(ctx context.Context, tx *store, teamID uuid.UUID) error {
	if err := tx.lockTeam(ctx, teamID); err != nil {
		return err
	}
	count, err := tx.count(ctx, teamID)
	if err != nil {
		return err
	}
	limits, err := usage.LimitsOf(ctx, tx.conn, teamID)
	if err != nil {
		return err
	}
	most := int64(maxSecrets)
	if limits.MaxSecrets != nil {
		most = min(*limits.MaxSecrets, maxSecrets)
	}
	if count >= most {
		return fault.New(fault.RateLimited, "the team has %d secrets, which is the most", count).Because(fault.SecretLimit)
	}
	return nil
}

// change changes a secret, enqueues the delivery of the change and writes its event, in
// one transaction.
func (s *Service) change(ctx context.Context, kind events.Type, change func(tx *store) (Secret, error)) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		in := newStore(tx)
		changed, err := change(in)
		if err != nil {
			return err
		}
		if err := s.deliver(ctx, tx, changed); err != nil {
			return err
		}
		return in.record(ctx, kind, changed)
	})
}

// Update replaces a secret's value, and its metadata unless that is nil. Running
// sandboxes get the new value soon after.
func (s *Service) Update(ctx context.Context, teamID uuid.UUID, key, value string, metadata map[string]string) (changed Secret, err error) {
	if err := check(value, metadata); err != nil {
		return Secret{}, err
	}
	err = s.change(ctx, events.SecretUpdated, func(tx *store) (Secret, error) {
		if changed, err = tx.lock(ctx, teamID, key); err != nil {
			return Secret{}, err
		}
		if metadata != nil {
			changed.Metadata = metadata
		}
		if changed.sealed, err = s.keyring.Seal([]byte(value), purpose(teamID, changed.ID)); err != nil {
			return Secret{}, fmt.Errorf("seal secret: %w", err)
		}
		changed, err = tx.update(ctx, changed)
		return changed, err
	})
	if err != nil {
		return Secret{}, orNotFound("update", key, err)
	}
	s.log.InfoContext(ctx, "secret updated", "secret", changed.ID, "team", teamID, "version", changed.Version)
	return changed, nil
}

// Delete deletes a secret, by its ID or name. Requests that need it fail soon after.
func (s *Service) Delete(ctx context.Context, teamID uuid.UUID, key string) error {
	var gone Secret
	err := s.change(ctx, events.SecretDeleted, func(tx *store) (_ Secret, err error) {
		gone, err = tx.delete(ctx, teamID, key)
		return gone, err
	})
	if err != nil {
		return orNotFound("delete", key, err)
	}
	s.log.InfoContext(ctx, "secret deleted", "secret", gone.ID, "team", teamID)
	return nil
}

// Get returns a team's secret, by its ID or name.
func (s *Service) Get(ctx context.Context, teamID uuid.UUID, key string) (Secret, error) {
	secret, err := newStore(s.pool).get(ctx, teamID, key)
	if err != nil {
		return Secret{}, orNotFound("get", key, err)
	}
	return secret, nil
}

// List returns a page of a team's secrets, newest first.
func (s *Service) List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (Page, error) {
	after, err := cursor.Parse(pageToken, false)
	if err != nil {
		return Page{}, err
	}
	found, err := newStore(s.pool).list(ctx, teamID, after, pageSize+1)
	if err != nil {
		return Page{}, err
	}
	page := Page{Secrets: found}
	if len(found) > pageSize {
		page.Secrets = found[:pageSize]
		last := found[pageSize-1]
		page.NextToken = cursor.At(last.CreatedAt, last.ID).String()
	}
	return page, nil
}

// lookupKey returns an ID or a name as it is stored, in lower case; "" for what can be
// neither.
func lookupKey(key string) string {
	if !namePattern.MatchString(key) {
		return ""
	}
	return strings.ToLower(key)
}

// purpose is what a value is sealed for.
func purpose(teamID uuid.UUID, secretID string) string {
	return "secret:" + teamID.String() + ":" + secretID
}

func orNotFound(doing, key string, err error) error {
	if errors.Is(err, errNoSecret) {
		return fault.New(fault.NotFound, "secret %.64q was not found", key)
	}
	return fmt.Errorf("%s secret: %w", doing, err)
}

func check(value string, metadata map[string]string) error {
	switch {
	case value == "":
		return fault.New(fault.Invalid, "value is missing")
	case len(value) > maxSecretBytes:
		return fault.New(fault.Invalid, "value has %d bytes; at most %d are possible", len(value), maxSecretBytes)
	case len(metadata) > maxSecretPairs:
		return fault.New(fault.Invalid, "metadata has %d pairs; at most %d are possible", len(metadata), maxSecretPairs)
	}
	if err := validate.Metadata(metadata); err != nil {
		return err
	}
	total := 0
	for key, value := range metadata {
		if len(key) > maxSecretMetadataKey || len(value) > maxSecretMetadataValue {
			return fault.New(fault.Invalid, "metadata: a key has at most %d bytes and a value %d", maxSecretMetadataKey, maxSecretMetadataValue)
		}
		total += len(key) + len(value)
	}
	if total > maxSecretMetadata {
		return fault.New(fault.Invalid, "metadata has %d bytes in all; at most %d are possible", total, maxSecretMetadata)
	}
	return nil
}
