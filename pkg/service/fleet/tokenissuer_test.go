package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

// published counts the keys that are published for longer than a time.
func (f fixture) published(t *testing.T, longerThan time.Duration) (count int) {
	t.Helper()
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM identity_keys WHERE expires_at > now() + $1::interval", longerThan).Scan(&count))
	return count
}

func (f fixture) issuer(t *testing.T, url string) *fleet.TokenIssuer {
	t.Helper()
	return fleet.NewTokenIssuer(f.Pool, url, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// client returns a link to the host that ends with the test.
func (f fixture) client(t *testing.T) *host.Client {
	t.Helper()
	client := host.NewClient(f.Agent.RPCSocket)
	t.Cleanup(client.Close)
	return client
}

// signing follows the host and gives it signing keys for an address.
func (f fixture) signing(t *testing.T, url string) *fleet.Sync {
	t.Helper()
	return fleet.NewSync(f.Pool, f.Host, f.client(t), f.Service, f.Templates, f.Log, fleet.SyncOptions{Issuer: f.issuer(t, url)})
}

func TestTokenIssuer_LeavesAHostAloneThatTakesNoKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	follow := f.signing(t, "https://wrenn.example.org")
	var tries atomic.Int32
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "set signing key" {
			tries.Add(1)
			return errors.New("what is that")
		}
		return nil
	})
	for range 3 {
		require.NoError(t, follow.Sync(t.Context()), "all else goes on")
	}
	require.EqualValues(t, 1, tries.Load(), "it is not asked with each heartbeat")
	require.Equal(t, 1, f.published(t, 0), "the host may have it")
	require.Zero(t, f.published(t, time.Hour))
}

func TestTokenIssuer_GivesAnotherKeyWhenItsAddressChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.signing(t, "https://one.example.org")
	require.NoError(t, one.Sync(t.Context()))
	first := f.Agent.SigningKeyID()
	require.NoError(t, one.Sync(t.Context()))
	require.Equal(t, first, f.Agent.SigningKeyID())
	require.NoError(t, f.signing(t, "https://two.example.org").Sync(t.Context()))
	require.NotEqual(t, first, f.Agent.SigningKeyID())
	require.Equal(t, 2, f.published(t, 0))
	require.Equal(t, 1, f.published(t, time.Hour))
}

// Two control planes hand over a key each at the same time: the host has that of the
// one which the other takes for replaced.
func TestTokenIssuer_PutsRightWhatTwoControlPlanesGaveAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	client, issuer := f.client(t), f.issuer(t, "https://wrenn.example.org")
	follow := fleet.NewSync(f.Pool, f.Host, client, f.Service, f.Templates, f.Log, fleet.SyncOptions{Issuer: issuer})
	var other atomic.Bool
	f.Agent.Before(func(ctx context.Context, operation, _ string) error {
		if operation == "set signing key" && other.CompareAndSwap(false, true) {
			return issuer.Settle(ctx, f.Host, client, "") // overtakes the first
		}
		return nil
	})
	require.NoError(t, follow.Sync(t.Context()))
	require.NoError(t, follow.Sync(t.Context()))
	settled := f.Agent.SigningKeyID()
	require.NoError(t, follow.Sync(t.Context()))
	require.Equal(t, settled, f.Agent.SigningKeyID())
	var published string
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT id FROM identity_keys WHERE retires_at > now()").Scan(&published))
	require.Equal(t, settled, published, "what the host has is what is to be used")
}
