package cpserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// happening is one event as a client sees it.
type happening struct {
	ID         int64
	Type       string
	ResourceID string
	Data       struct{ State, Reason string }
}

// eventStream is a client of GET /events.
type eventStream struct {
	lines chan string // closed when the stream ends
	close func()
}

func (p *controlPlane) stream(t *testing.T, query string, header http.Header) *eventStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/events"+query, nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "text/event-stream")
	maps.Copy(request.Header, header)
	if request.Header.Get("Authorization") == "" && request.Header.Get("X-Api-Key") == "" {
		request.Header.Set("X-Api-Key", p.key)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	s := &eventStream{lines: make(chan string, 1000)}
	go func() {
		defer close(s.lines)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	}()
	s.close = func() {
		cancel()
		_ = response.Body.Close()
		for range s.lines {
		}
	}
	t.Cleanup(s.close)
	return s
}

// next waits for the next event.
func (s *eventStream) next(t *testing.T) happening {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, open := <-s.lines:
			require.True(t, open, "the stream has ended")
			if data, found := strings.CutPrefix(line, "data: "); found {
				var event happening
				require.NoError(t, json.Unmarshal([]byte(data), &event))
				return event
			}
		case <-deadline:
			require.FailNow(t, "no event came")
		}
	}
}

func (s *eventStream) awaitEnd(t *testing.T) {
	t.Helper()
	// A stream asks with each heartbeat, every 15 seconds, whether it may go on.
	deadline := time.After(2 * patience)
	for {
		select {
		case _, open := <-s.lines:
			if !open {
				return
			}
		case <-deadline:
			require.FailNow(t, "the stream did not end")
		}
	}
}

func TestEvents_TellOfASandboxAndGoOnWhereAClientWas(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	live := p.stream(t, "?type=sandbox.*", http.Header{"Accept": {"text/event-stream"}})
	created := p.create(t, `{"templateID": "base", "timeout": 60}`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+created.SandboxID+"/pause", ""))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/sandboxes/"+created.SandboxID, ""))
	var last int64
	seen := []happening{}
	for _, want := range []string{"sandbox.created", "sandbox.started", "sandbox.paused", "sandbox.killed"} {
		event := live.next(t)
		require.Equal(t, want, event.Type)
		require.Equal(t, created.SandboxID, event.ResourceID)
		require.Greater(t, event.ID, last)
		last = event.ID
		seen = append(seen, event)
	}
	resumed := p.stream(t, "", http.Header{"Last-Event-Id": {strconv.FormatInt(seen[1].ID, 10)}})
	require.Equal(t, seen[2], resumed.next(t))
	require.Equal(t, seen[3], resumed.next(t))
	ofOne := p.stream(t, "?after=0&type=sandbox.started,sandbox.killed&sandboxID="+created.SandboxID, nil)
	require.Equal(t, seen[1], ofOne.next(t))
	require.Equal(t, seen[3], ofOne.next(t))

	var page []happening
	p.send(t, http.MethodGet, "/events?after=0&type=sandbox.*&limit=2", "", http.Header{
		"X-Api-Key": {p.key}, "Accept": {"application/json"},
	}).decode(t, &page)
	require.Equal(t, seen[:2], page)
}

func TestEvents_SayThatSomeMayHaveBeenMissed(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	created := p.create(t, `{"templateID": "base", "timeout": 60}`)
	_, err := p.pool.Exec(t.Context(), `DELETE FROM events WHERE type <> 'sandbox.started'`)
	require.NoError(t, err)
	get := func(after string) answer {
		t.Helper()
		return p.send(t, http.MethodGet, "/events?after="+after, "", http.Header{"X-Api-Key": {p.key}, "Accept": {"application/json"}})
	}
	var started []happening
	get("0").decode(t, &started)
	require.Len(t, started, 1)
	require.Equal(t, "true", get("1").header.Get("X-Events-Missed"))
	require.Empty(t, get(strconv.FormatInt(started[0].ID, 10)).header.Get("X-Events-Missed"))
	stream := p.stream(t, "?after=1", nil)
	require.Equal(t, happening{}, stream.next(t), "an event without an ID says so")
	require.Equal(t, created.SandboxID, stream.next(t).ResourceID)
}

func TestEvents_TellAnExpiryFromAKill(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	live := p.stream(t, "?type=sandbox.expired,sandbox.killed", nil)
	created := p.create(t, `{"templateID": "base", "timeout": 1}`)
	event := live.next(t)
	require.Equal(t, "sandbox.expired", event.Type)
	require.Equal(t, created.SandboxID, event.ResourceID)
}

func TestEvents_EndWithTheKeyAndWithTheServer(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	untilStop := p.stream(t, "", nil)
	require.NoError(t, p.stop())
	untilStop.awaitEnd(t)

	p = startControlPlane(t)
	untilRevoked := p.stream(t, "", nil)
	_, err := p.pool.Exec(t.Context(), "UPDATE api_keys SET revoked_at = now()")
	require.NoError(t, err)
	untilRevoked.awaitEnd(t)
}

func TestEvents_RefuseWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, query := range []string{"?after=x", "?after=-1", "?type=everything", "?sandboxID=%00"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/events"+query, ""))
	}
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodGet, "/events", "", http.Header{}))
}

// A user of two teams who leaves one is still authenticated, but for the other team.
func TestEvents_EndForAUserWhoLeavesTheTeam(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	token, user, other := auth.NewAccessToken(), uuid.New(), uuid.New()
	_, err := p.pool.Exec(t.Context(), `WITH team AS (INSERT INTO teams (id, slug, name) VALUES ($1, 'other', 'Other') RETURNING id),
			person AS (INSERT INTO users (id, email) VALUES ($2, 'ada@example.com') RETURNING id),
			token AS (INSERT INTO access_tokens (id, user_id, name, token_hash, token_prefix, value_length, masked_prefix, masked_suffix)
				SELECT gen_random_uuid(), id, 'token', $3, '', 1, '', '' FROM person)
		INSERT INTO team_members (team_id, user_id, role, created_at)
		SELECT t.id, person.id, 'viewer', t.since FROM person,
			(SELECT id, now() - interval '1 day' AS since FROM teams UNION ALL SELECT id, now() FROM team) t`, other, user, auth.HashKey(token))
	require.NoError(t, err)
	stream := p.stream(t, "?type=member.*", http.Header{"Authorization": {"Bearer " + token}})
	var left uuid.UUID
	require.NoError(t, p.pool.QueryRow(t.Context(), "DELETE FROM team_members WHERE team_id <> $1 RETURNING team_id", other).Scan(&left))
	require.NoError(t, events.Record(t.Context(), p.pool, left, events.MemberRemoved, user.String(), nil))
	stream.awaitEnd(t)
}

func TestEvents_ComeFromAnyReplica(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	replica := &controlPlane{key: p.key, config: p.config, agent: p.agent, pool: p.pool}
	replica.start(t)
	live := replica.stream(t, "?type=sandbox.started", nil)
	created := p.create(t, `{"templateID": "base", "timeout": 60}`)
	require.Equal(t, created.SandboxID, live.next(t).ResourceID)
}

func TestEvents_OfTheInstallationAreForItsAdmins(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.hasAdmin(t)
	p.start(t)
	admin := http.Header{"X-Admin-Token": {adminToken}, "Accept": {"application/json"}}
	var listed []happening
	got := p.send(t, http.MethodGet, "/admin/events?after=0&type=host.*", "", admin)
	requireStatus(t, http.StatusOK, got)
	got.decode(t, &listed)
	require.NotEmpty(t, listed)
	require.Equal(t, "host.registered", listed[0].Type)
	requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/admin/audit", "", admin))
	requireStatus(t, http.StatusBadRequest, p.send(t, http.MethodGet, "/admin/events?teamID=x", "", admin))
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodGet, "/admin/events", ""))
}

func TestEvents_AreThoseOfKindsThatTheCallerMayRead(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, kind := range []string{"secret.created", "member.added", "volume.created", "key.created", "channel.created", "extension.done"} {
		_, err := p.pool.Exec(t.Context(), `INSERT INTO events (id, team_id, type, resource_id) SELECT 0, id, $1, 'x' FROM teams`, kind)
		require.NoError(t, err)
	}
	p.create(t, `{"templateID": "base"}`)
	kinds := func(key string, query string) map[string]bool {
		got := p.send(t, http.MethodGet, "/events"+query, "", http.Header{"X-Api-Key": {key}})
		requireStatus(t, http.StatusOK, got)
		require.Equal(t, "application/json", got.header.Get("Content-Type"), "pages where no stream is asked for")
		var page []happening
		got.decode(t, &page)
		found := map[string]bool{}
		for _, event := range page {
			kind, _, _ := strings.Cut(event.Type, ".")
			found[kind] = true
		}
		return found
	}
	only := p.issue(t, "default", []string{"event:read"})
	require.Equal(t, map[string]bool{"extension": true}, kinds(only, ""))
	require.Empty(t, kinds(only, "?type=secret.*"))
	require.Equal(t, map[string]bool{"extension": true, "secret": true}, kinds(p.issue(t, "default", []string{"event:read", "secret:read"}), ""))
	all := kinds(p.key, "?limit=100")
	require.False(t, all["key"], "no key reads keys")
	for _, kind := range []string{"secret", "member", "volume", "channel", "sandbox"} {
		require.True(t, all[kind], kind)
	}
	stream := p.stream(t, "?after=0", http.Header{"X-Api-Key": {only}})
	require.Equal(t, "extension.done", stream.next(t).Type)

	narrow := http.Header{"X-Api-Key": {p.issue(t, "default", []string{"channel:read", "channel:write", "sandbox:read"})}}
	hook := func(types string) string {
		return `{"kind":"webhook","name":"h","eventTypes":` + types + `,"config":{"url":"https://example.com/"}}`
	}
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodPost, "/channels", hook(`["sandbox.*","secret.created"]`), narrow))
	requireStatus(t, http.StatusCreated, p.send(t, http.MethodPost, "/channels", hook(`[]`), narrow))
	var hidden []string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT hidden_kinds FROM channels").Scan(&hidden))
	require.Equal(t, []string{"build", "key", "member", "secret", "team", "template", "volume"}, hidden)
}
