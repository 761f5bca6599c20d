package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

const (
	// signingKeyUse is how long a host has a key before it is given another, and
	// signingKeyLife how long it may sign while no control plane comes.
	signingKeyUse  = 24 * time.Hour
	signingKeyLife = 48 * time.Hour
	// signedFor is how long a key is published after it has signed its last token.
	signedFor = workload.Lifetime + 10*time.Minute
	// signingKeyRetry is how long a host that did not take a key is left alone.
	signingKeyRetry = 30 * time.Second
)

// TokenIssuer gives hosts the keys by which they sign the identity tokens of
// sandboxes, and publishes the public halves. A private half is in this process until
// its host has it, and stored nowhere.
type TokenIssuer struct {
	pool *pgxpool.Pool
	url  string
	log  *slog.Logger
}

// NewTokenIssuer makes a TokenIssuer. Tokens name url as their issuer, and its documents
// are there.
func NewTokenIssuer(pool *pgxpool.Pool, url string, log *slog.Logger) *TokenIssuer {
	return &TokenIssuer{pool: pool, url: url, log: log}
}

// SigningHost is a host that signs identity tokens.
type SigningHost interface {
	SetSigningKey(ctx context.Context, key *workload.Key) error
}

// Settle gives a host a key, unless heldKeyID, which it says it holds, may be used on.
// The public half is there to be read before the host can sign with the private one.
// What two control planes give the same host at once is put right by the next call.
func (t *TokenIssuer) Settle(ctx context.Context, hostID uuid.UUID, agent SigningHost, heldKeyID string) error {
	store := newStore(t.pool)
	inUse, err := store.identityKeyInUse(ctx, heldKeyID, hostID, t.url)
	if err != nil {
		return fmt.Errorf("look up the signing key of host %s: %w", hostID, err)
	}
	if inUse {
		return nil
	}
	key, err := workload.NewKey(t.url, time.Now().Add(signingKeyLife))
	if err != nil {
		return err
	}
	if err := store.publishIdentityKey(ctx, hostID, key); err != nil {
		return fmt.Errorf("publish the signing key of host %s: %w", hostID, err)
	}
	current := key.ID
	refusal := agent.SetSigningKey(ctx, key)
	if refusal != nil {
		current = heldKeyID // the new one may have arrived, and is published a while longer
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	err = store.retireIdentityKeys(ctx, hostID, current, signedFor)
	if refusal != nil {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("retire the signing keys of host %s: %w", hostID, err)
	}
	t.log.InfoContext(ctx, "a host has a new key to sign identity tokens with", "host", hostID, "key", key.ID)
	return nil
}

// Issuer is what tokens name as their issuer.
func (t *TokenIssuer) Issuer() string { return t.url }

// Keys are the public halves of all keys that a token may be signed with which is valid.
func (t *TokenIssuer) Keys(ctx context.Context) (jose.JSONWebKeySet, error) {
	found, err := newStore(t.pool).publicKeys(ctx)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(found))}
	for _, public := range found {
		key, err := workload.PublishedKey(public.id, public.der)
		if err != nil {
			return jose.JSONWebKeySet{}, err
		}
		set.Keys = append(set.Keys, key)
	}
	return set, nil
}
