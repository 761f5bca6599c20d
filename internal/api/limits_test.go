package api_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// from posts as a client of another address.
func (b *browser) from(t *testing.T, address, path string, body fields) int {
	t.Helper()
	b.server.Access.Clients.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return b.send(t, http.MethodPost, path, body, http.Header{"X-Forwarded-For": {address}}).status
}

func TestGuesses_FromANetworkLockNobodyOutElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	b := w.browser(t)
	wrong := fields{"email": "ada@example.com", "password": "a wrong password"}
	right := fields{"email": "ada@example.com", "password": password}
	var statuses []int
	for i := range 11 { // each from another address of one network
		statuses = append(statuses, b.from(t, fmt.Sprintf("198.51.100.%d", i), "/auth/login", wrong))
	}
	require.Equal(t, http.StatusUnauthorized, statuses[9])
	require.Equal(t, http.StatusTooManyRequests, statuses[10])
	require.Equal(t, http.StatusTooManyRequests, b.from(t, "198.51.100.200", "/auth/login", right))
	require.Equal(t, http.StatusOK, b.from(t, "203.0.113.1", "/auth/login", right))
	require.Equal(t, http.StatusOK, b.from(t, "2001:db8::1", "/auth/login", right))

	reset := fields{"email": "ada@example.com"}
	for range 4 {
		b.from(t, "198.51.100.1", "/auth/password/reset-request", reset)
	}
	require.Equal(t, http.StatusNoContent, b.from(t, "203.0.113.1", "/auth/password/reset-request", reset))

	_, _, codes := enrolled(t, admin)
	challenge := b.challenge(t)
	for range 11 {
		b.from(t, "192.0.2.1", "/auth/totp/login", fields{"challenge": challenge, "code": "123"})
	}
	good := fields{"challenge": challenge, "code": codes[0]}
	require.Equal(t, http.StatusTooManyRequests, b.from(t, "192.0.2.2", "/auth/totp/login", good))
	require.Equal(t, http.StatusOK, b.from(t, "203.0.113.1", "/auth/totp/login", good))
}

func TestPublicRoutes_AreChargedBeforeTheirBodiesAreRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The server's own limit gets another try every few seconds, which a loaded machine
	// takes for a round of tries.
	const most = 3
	w.server.Access.Limits.People = ratelimit.NewLimiter(most, time.Hour)
	b := w.browser(t)
	for i, path := range []string{
		"/auth/login", "/auth/totp/login", "/auth/password/reset", "/auth/password/reset-request",
		"/auth/first-admin", "/auth/invitations/show", "/auth/invitations/register",
	} {
		address := fmt.Sprintf("198.51.%d.1", i)
		for range most {
			require.Equal(t, http.StatusBadRequest, b.from(t, address, path, fields{"nonsense": true}), path)
		}
		require.Equal(t, http.StatusTooManyRequests, b.from(t, address, path, fields{"nonsense": true}), path)
	}
}

func TestAudit_IsNotFilledByStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patient(w)
	log := audit.NewLog(w.pool)
	w.server.Access.Audit = log
	b := w.browser(t)
	for i := range 60 {
		b.from(t, fmt.Sprintf("198.51.100.%d", i), "/auth/login", fields{"email": "ada@example.com", "password": "wrong"})
		b.from(t, fmt.Sprintf("198.51.100.%d", i), "/auth/login", fields{"nonsense": i})
		b.send(t, http.MethodGet, "/v2/sandboxes", nil, http.Header{"X-Api-Key": {auth.NewKey()}, "X-Forwarded-For": {"198.51.100.1"}})
	}
	b.from(t, "203.0.113.1", "/auth/login", fields{"email": "ada@example.com", "password": "wrong"})
	entries, err := log.List(t.Context(), audit.Query{Limit: 1000})
	require.NoError(t, err)
	require.LessOrEqual(t, len(entries), 21)
	require.Equal(t, "203.0.113.1", entries[0].Address)
	require.Contains(t, string(entries[0].Details), "similarNotWritten", "what was left out is counted")
}

func TestTeamHeader_ThatDoesNotFitAKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patient(w)
	b := w.firstAdmin(t)
	var made struct{ Key string }
	b.must(t, http.StatusCreated, http.MethodPost, "/api-keys", fields{"name": "k"}, &made)
	get := func(path, team string) int {
		return b.send(t, http.MethodGet, path, nil, http.Header{"X-Api-Key": {made.Key}, "X-Team-Id": {team}}).status
	}
	require.Equal(t, http.StatusBadRequest, get("/audit?limit=none", w.team.ID.String()))
	require.Equal(t, http.StatusForbidden, get("/channels", uuid.NewString()))
	require.Equal(t, http.StatusForbidden, get("/teams/"+w.team.ID.String()+"/usage", uuid.NewString()))
}
