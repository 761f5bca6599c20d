// Package idempotency makes a create that is sent again with the same key, to any
// control plane, answer with the sandbox that the first one made.
package idempotency

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

const (
	// life is how long a key is kept after its request.
	life = 24 * time.Hour
	// longestCreate is longer than a create takes that tries several hosts.
	longestCreate = 10 * time.Minute
)

// keyPattern is the form of a key.
var keyPattern = regexp.MustCompile(`^[a-z0-9-]{1,255}$`)

// Request names a request that may be sent again. The zero value names none.
type Request struct {
	Key string
	// Hash is of everything that was asked for.
	Hash [32]byte
}

// Claimant has the number by which this process claims keys.
type Claimant interface{ ID() int32 }

// Sandboxes finds what requests have made.
type Sandboxes interface {
	Get(ctx context.Context, sandboxID string) (sandbox.Sandbox, error)
}

// Keys are the keys of requests, with the sandboxes that these have made.
type Keys struct {
	store     keyStore
	sandboxes Sandboxes
	claimant  Claimant
}

// New makes Keys over a database.
func New(conn db.Conn, sandboxes Sandboxes, claimant Claimant) *Keys {
	return &Keys{store: newKeyStore(conn), sandboxes: sandboxes, claimant: claimant}
}

// Claim returns the sandbox that an earlier request with the same key has made, or the
// zero Sandbox where this request is to make it. Then Finish or Forget must follow.
func (k *Keys) Claim(ctx context.Context, teamID uuid.UUID, asked Request) (made sandbox.Sandbox, err error) {
	if !keyPattern.MatchString(asked.Key) {
		return sandbox.Sandbox{}, fault.New(fault.Invalid, "Idempotency-Key must be lower-case letters, digits and dashes, from 1 to 255")
	}
	err = operation.Retry(ctx, func() error {
		claimed, err := k.store.claim(ctx, teamID, asked, k.claimant.ID())
		if err != nil || claimed {
			return err
		}
		made, err = k.earlier(ctx, teamID, asked)
		return err
	})
	return made, err
}

// earlier returns what the first request with a key has made, and the zero Sandbox where
// that failed and this request may try again. It returns ErrOvertaken where the key
// changes meanwhile.
func (k *Keys) earlier(ctx context.Context, teamID uuid.UUID, asked Request) (sandbox.Sandbox, error) {
	first, err := k.store.get(ctx, teamID, asked.Key)
	switch {
	case err != nil:
		return sandbox.Sandbox{}, err
	case !bytes.Equal(first.hash, asked.Hash[:]):
		return sandbox.Sandbox{}, fault.New(fault.Conflict, "the Idempotency-Key was used before, with another request").Because(fault.IdempotencyMismatch)
	case !first.done && first.underWay:
		return sandbox.Sandbox{}, fault.New(fault.Conflict, "the first request with this Idempotency-Key is under way").Because(fault.IdempotencyInProgress)
	}
	var made sandbox.Sandbox
	if first.sandboxID != nil {
		if made, err = k.sandboxes.Get(ctx, *first.sandboxID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return sandbox.Sandbox{}, err
		}
	}
	switch {
	case made.ID != "" && first.done:
		return made, nil
	case made.ID != "" && made.State.Visible(): // only the answer was lost
		return made, k.store.finish(ctx, made, asked.Key)
	case first.sandboxID == nil && !first.done, made.State == sandbox.Failed:
		return sandbox.Sandbox{}, k.store.takeOver(ctx, teamID, asked.Key, first, k.claimant.ID())
	default:
		return sandbox.Sandbox{}, fault.New(fault.Conflict,
			"what the first request with this Idempotency-Key came to is not known; send another key").Because(fault.IdempotencyUnknown)
	}
}

// Link stores which sandbox a request is about to make, in the transaction that stores
// the sandbox. Without a key it does nothing.
func (k *Keys) Link(ctx context.Context, tx pgx.Tx, creating sandbox.Sandbox, key string) error {
	if key == "" {
		return nil
	}
	return newKeyStore(tx).link(ctx, creating, key, k.claimant.ID())
}

// Finish stores that a request has made its sandbox. It must succeed before the client is
// answered.
func (k *Keys) Finish(ctx context.Context, made sandbox.Sandbox, key string) error {
	err := k.store.finish(ctx, made, key)
	if errors.Is(err, operation.ErrOvertaken) { // another process has taken this claimant for dead
		return fault.Wrap(fault.Conflict, err, "another request with this Idempotency-Key came in between").Because(fault.IdempotencyUnknown)
	}
	return err
}

// Forget frees the key of a request that has failed.
func (k *Keys) Forget(ctx context.Context, teamID uuid.UUID, key string) error {
	return k.store.forget(ctx, teamID, key, k.claimant.ID())
}
