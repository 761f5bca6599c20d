package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
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
	Pool *pgxpool.Pool
	// URL is what tokens name as their issuer, and where its documents are.
	URL string
	Log *slog.Logger
}

// SigningHost is a host that signs identity tokens.
type SigningHost interface {
	SetSigningKey(ctx context.Context, key *workload.Key) error
}

// Settle gives a host a key, unless heldKeyID, which it says it holds, may be used on.
// The public half is there to be read before the host can sign with the private one.
// What two control planes give the same host at once is put right by the next call.
func (t *TokenIssuer) Settle(ctx context.Context, hostID uuid.UUID, agent SigningHost, heldKeyID string) error {
	queries := rows.New(t.Pool)
	inUse, err := queries.IsIdentityKeyInUse(ctx, rows.IsIdentityKeyInUseParams{ID: heldKeyID, HostID: hostID, Issuer: t.URL})
	if err != nil {
		return fmt.Errorf("look up the signing key of host %s: %w", hostID, err)
	}
	if inUse {
		return nil
	}
	key, err := workload.NewKey(t.URL, time.Now().Add(signingKeyLife))
	if err != nil {
		return err
	}
	if err := t.publish(ctx, queries, hostID, key); err != nil {
		return fmt.Errorf("publish the signing key of host %s: %w", hostID, err)
	}
	current := key.ID
	given := agent.SetSigningKey(ctx, key)
	if given != nil {
		current = heldKeyID // the new one may have arrived, and is published a while longer
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	err = queries.RetireIdentityKeys(ctx, rows.RetireIdentityKeysParams{HostID: hostID, CurrentID: current, Publish: signedFor})
	if given != nil {
		return given
	}
	if err != nil {
		return fmt.Errorf("retire the signing keys of host %s: %w", hostID, err)
	}
	t.Log.Info("a host has a new key to sign identity tokens with", "host", hostID, "key", key.ID)
	return nil
}

func (t *TokenIssuer) publish(ctx context.Context, queries *rows.Queries, hostID uuid.UUID, key *workload.Key) error {
	public, err := key.Public()
	if err != nil {
		return err
	}
	if err := queries.DeleteExpiredIdentityKeys(ctx); err != nil {
		return err
	}
	return queries.CreateIdentityKey(ctx, rows.CreateIdentityKeyParams{
		ID: key.ID, HostID: hostID, Issuer: key.Issuer, PublicKey: public, Use: signingKeyUse, Publish: signingKeyLife + signedFor,
	})
}

// Issuer is what tokens name as their issuer.
func (t *TokenIssuer) Issuer() string { return t.URL }

// Keys are the public halves of all keys that a token may be signed with which is valid.
func (t *TokenIssuer) Keys(ctx context.Context) (jose.JSONWebKeySet, error) {
	found, err := rows.New(t.Pool).ListIdentityKeys(ctx)
	if err != nil {
		return jose.JSONWebKeySet{}, fmt.Errorf("list public keys: %w", err)
	}
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, 0, len(found))}
	for _, row := range found {
		key, err := workload.PublishedKey(row.ID, row.PublicKey)
		if err != nil {
			return jose.JSONWebKeySet{}, err
		}
		set.Keys = append(set.Keys, key)
	}
	return set, nil
}
