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

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
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

// SecretQueue is the part of the job queue that secrets need.
type Queue interface {
	InsertTx(ctx context.Context, tx pgx.Tx, job river.JobArgs, options *river.InsertOpts) (*rivertype.JobInsertResult, error)
}

// Secrets is the service of secrets: values that a team's sandboxes put into
// requests and never see. Nothing here returns a value but Resolve, which is for
// hosts.
type Service struct {
	Pool    *pgxpool.Pool
	Keyring *seal.Keyring
	// Queue brings changes to the sandboxes that run.
	Queue Queue
	Log   *slog.Logger
}

// NewSecret is a secret that a team wants.
type NewSecret struct {
	// Name is the team's own, whatever its case.
	Name     string
	Value    string
	Metadata map[string]string
}

// SecretPage is one page of a list of secrets.
type Page struct {
	Secrets []rows.Secret
	// NextToken is empty on the last page.
	NextToken string
}

// Create stores a secret under a name that the team has not used.
func (s *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewSecret) (made rows.Secret, err error) {
	name := strings.ToLower(wanted.Name)
	switch {
	case !namePattern.MatchString(wanted.Name):
		return rows.Secret{}, fault.New(fault.Invalid, "name must be letters, digits, dashes and underscores, from 1 to 128")
	case strings.HasPrefix(name, id.SecretPrefix):
		return rows.Secret{}, fault.New(fault.Invalid, "name must not begin with %s, as the IDs of secrets do", id.SecretPrefix)
	}
	if err := check(wanted.Value, wanted.Metadata); err != nil {
		return rows.Secret{}, err
	}
	if wanted.Metadata == nil {
		wanted.Metadata = map[string]string{}
	}
	secretID := id.NewSecret()
	sealed, err := s.Keyring.Seal([]byte(wanted.Value), purpose(teamID, secretID))
	if err != nil {
		return rows.Secret{}, fmt.Errorf("seal secret: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		queries := rows.New(tx)
		if _, err := queries.LockTeam(ctx, teamID); err != nil {
			return fmt.Errorf("lock team: %w", err)
		}
		count, err := queries.CountSecrets(ctx, teamID)
		if err != nil {
			return fmt.Errorf("count secrets: %w", err)
		}
		most, err := mostOf(ctx, queries, teamID)
		if err != nil {
			return err
		}
		if count >= most {
			return fault.New(fault.RateLimited, "the team has %d secrets, which is the most", count).Because(fault.SecretLimit)
		}
		made, err = queries.CreateSecret(ctx, rows.CreateSecretParams{
			ID: secretID, TeamID: teamID, Name: name, SealedValue: sealed, Metadata: wanted.Metadata,
		})
		if err != nil {
			return err
		}
		return s.spread(ctx, tx, made)
	})
	switch {
	case db.IsUniqueViolation(err):
		return rows.Secret{}, fault.New(fault.Conflict, "the team has a secret %q already", name)
	case err != nil:
		return rows.Secret{}, fmt.Errorf("store secret: %w", err)
	}
	s.Log.Info("secret created", "secret", made.ID, "team", teamID)
	return made, nil
}

// secretsOf is how many secrets a team may have.
func mostOf(ctx context.Context, queries *rows.Queries, teamID uuid.UUID) (int64, error) {
	limits, err := usage.LimitsOf(ctx, queries, teamID)
	if err != nil || limits.MaxSecrets == nil {
		return maxSecrets, err
	}
	return min(int64(*limits.MaxSecrets), maxSecrets), nil
}

// Update replaces a secret's value, and its metadata unless that is nil. Sandboxes
// that run have the new value soon.
func (s *Service) Update(ctx context.Context, teamID uuid.UUID, key, value string, metadata map[string]string) (changed rows.Secret, err error) {
	if err := check(value, metadata); err != nil {
		return rows.Secret{}, err
	}
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		queries := rows.New(tx)
		stored, err := queries.LockSecret(ctx, rows.LockSecretParams{TeamID: teamID, Key: lookupKey(key)})
		if err != nil {
			return err
		}
		if metadata == nil {
			metadata = stored.Metadata
		}
		sealed, err := s.Keyring.Seal([]byte(value), purpose(teamID, stored.ID))
		if err != nil {
			return fmt.Errorf("seal secret: %w", err)
		}
		changed, err = queries.UpdateSecret(ctx, rows.UpdateSecretParams{ID: stored.ID, SealedValue: sealed, Metadata: metadata})
		if err != nil {
			return err
		}
		return s.spread(ctx, tx, changed)
	})
	if err != nil {
		return rows.Secret{}, orNotFound("update", key, err)
	}
	s.Log.Info("secret updated", "secret", changed.ID, "team", teamID, "version", changed.Version)
	return changed, nil
}

// Delete deletes a secret, by its ID or name. Requests that need it fail from soon
// on.
func (s *Service) Delete(ctx context.Context, teamID uuid.UUID, key string) error {
	var gone rows.Secret
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) (err error) {
		gone, err = rows.New(tx).DeleteSecret(ctx, rows.DeleteSecretParams{TeamID: teamID, Key: lookupKey(key)})
		if err != nil {
			return err
		}
		return s.spread(ctx, tx, gone)
	})
	if err != nil {
		return orNotFound("delete", key, err)
	}
	s.Log.Info("secret deleted", "secret", gone.ID, "team", teamID)
	return nil
}

// Get returns a team's secret, by its ID or name.
func (s *Service) Get(ctx context.Context, teamID uuid.UUID, key string) (rows.Secret, error) {
	secret, err := rows.New(s.Pool).FindSecret(ctx, rows.FindSecretParams{TeamID: teamID, Key: lookupKey(key)})
	if err != nil {
		return rows.Secret{}, orNotFound("get", key, err)
	}
	return secret, nil
}

// List returns a page of a team's secrets, newest first.
func (s *Service) List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (Page, error) {
	after, err := cursor.Parse(pageToken, false)
	if err != nil {
		return Page{}, err
	}
	found, err := rows.New(s.Pool).ListSecrets(ctx, rows.ListSecretsParams{
		TeamID: teamID, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(pageSize) + 1,
	})
	if err != nil {
		return Page{}, fmt.Errorf("list secrets: %w", err)
	}
	page := Page{Secrets: found}
	if len(found) > pageSize {
		page.Secrets = found[:pageSize]
		last := found[pageSize-1]
		page.NextToken = cursor.At(last.CreatedAt, last.ID).String()
	}
	return page, nil
}

// secretKey is an ID or a name as it is stored. Both are in lower case.
func lookupKey(key string) string {
	if !namePattern.MatchString(key) {
		return "" // which nothing is called
	}
	return strings.ToLower(key)
}

// secretPurpose is what a value is sealed for.
func purpose(teamID uuid.UUID, secretID string) string {
	return "secret:" + teamID.String() + ":" + secretID
}

func orNotFound(doing, key string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
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
