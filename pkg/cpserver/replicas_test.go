package cpserver_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

// fleet is two control planes over one database, and hosts that have joined.
type fleet struct {
	replicas []*controlPlane
	turn     atomic.Int64
}

const adminToken = "an-admin-token-of-enough-length-0123456789"

// startFleet starts two control planes without a host of their own.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	first := setUp(t, http.NotFoundHandler())
	first.config.HostAgentSocket, first.config.HostTrafficSocket = "", ""
	first.config.Identity.AdminTokenFile = filepath.Join(t.TempDir(), "admin-token")
	require.NoError(t, os.WriteFile(first.config.Identity.AdminTokenFile, []byte(adminToken), 0o600))
	second := &controlPlane{key: first.key, config: first.config, agent: first.agent, pool: first.pool}
	f := &fleet{replicas: []*controlPlane{first, second}}
	for _, replica := range f.replicas {
		replica.start(t)
	}
	return f
}

// next is the control plane whose turn it is: a round robin.
func (f *fleet) next() *controlPlane {
	return f.replicas[int(f.turn.Add(1))%len(f.replicas)]
}

func (f *fleet) admin(t *testing.T, method, path, body string) answer {
	t.Helper()
	return f.next().send(t, method, path, body, http.Header{"X-Admin-Token": {adminToken}})
}

// member is a host for tests that has joined.
type member struct {
	agent                  *hosttest.Agent
	address                string
	show                   func(root []byte, own *tls.Certificate)
	key                    *ecdsa.PrivateKey
	HostID                 string
	Certificate, Authority []byte
}

// join makes a host by way of one control plane's token and another's answer.
func (f *fleet) join(t *testing.T, name string, guest http.Handler) *member {
	t.Helper()
	m := &member{agent: hosttest.Start(t, guest)}
	m.address, m.show = m.agent.Listen(t, guest)
	made := f.admin(t, http.MethodPost, "/hosts/tokens", `{"tags":["test"]}`)
	require.Equal(t, http.StatusCreated, made.status, "body: %s", made.body)
	var token struct{ Token string }
	made.decode(t, &token)
	var request []byte
	m.key, request = newRequest(t)
	body, err := json.Marshal(map[string]any{"token": token.Token, "name": name, "address": m.address, "request": request})
	require.NoError(t, err)
	joined := f.next().send(t, http.MethodPost, "/hosts/join", string(body), nil)
	require.Equal(t, http.StatusCreated, joined.status, "body: %s", joined.body)
	joined.decode(t, m)
	m.show(m.Authority, &tls.Certificate{Certificate: [][]byte{m.Certificate}, PrivateKey: m.key})
	requireStatus(t, http.StatusUnauthorized, f.next().send(t, http.MethodPost, "/hosts/join", string(body), nil))
	f.awaitStatus(t, m, "ready")
	return m
}

// fill creates sandboxes until each host has two.
func (f *fleet) fill(t *testing.T, hosts ...*member) []string {
	t.Helper()
	var ids []string
	eventually(t, "every host gets sandboxes", func() bool {
		for _, host := range hosts {
			if len(host.agent.States()) < 2 {
				ids = append(ids, f.next().create(t, `{"templateID":"base","timeout":600}`).SandboxID)
				return false
			}
		}
		return true
	})
	return ids
}

func newRequest(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := authority.NewKey()
	require.NoError(t, err)
	request, err := authority.NewRequest(key)
	require.NoError(t, err)
	return key, request
}

func (f *fleet) awaitStatus(t *testing.T, m *member, want string) {
	t.Helper()
	eventually(t, "host is "+want, func() bool {
		var node struct{ Status string }
		got := f.admin(t, http.MethodGet, "/nodes/"+m.HostID, "")
		return got.status == http.StatusOK && json.Unmarshal(got.body, &node) == nil && node.Status == want
	})
}

func TestReplicas_BehaveAsOneOverHostsThatJoined(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	hosts := []*member{f.join(t, "one", echoGuest), f.join(t, "two", echoGuest)}
	for _, id := range f.fill(t, hosts...) {
		path := "/sandboxes/" + id
		for _, replica := range f.replicas {
			require.Equal(t, "running", replica.get(t, id).State)
			got := replica.send(t, http.MethodGet, "/where", "", at(id, 8080))
			require.Equal(t, http.StatusOK, got.status, "%s", got.body)
			var seen echo
			got.decode(t, &seen)
			require.Equal(t, []string{id}, seen.Sandbox)
		}
		requireStatus(t, http.StatusNoContent, f.next().do(t, http.MethodPost, path+"/pause", ""))
		requireStatus(t, http.StatusCreated, f.next().do(t, http.MethodPost, "/v2"+path+"/connect", ""))
		requireStatus(t, http.StatusNoContent, f.next().do(t, http.MethodDelete, path, ""))
	}
	for _, host := range hosts {
		require.Empty(t, host.agent.States())
	}
}

func TestReplicas_RollingRestartLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	host := f.join(t, "one", echoGuest)
	stop := make(chan struct{})
	var working sync.WaitGroup
	var mutex sync.Mutex
	acknowledged := map[string]string{}
	for range 3 {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if id := f.tryCreate(t); id != "" {
					state := f.tryPause(t, id)
					mutex.Lock()
					acknowledged[id] = state
					mutex.Unlock()
				}
			}
		})
	}
	count := func() int { mutex.Lock(); defer mutex.Unlock(); return len(acknowledged) }
	for _, replica := range f.replicas {
		before := count()
		eventually(t, "some are made", func() bool { return count() > before+2 })
		require.NoError(t, replica.stop())
		before = count()
		eventually(t, "the other goes on alone", func() bool { return count() > before+2 })
		replica.start(t)
	}
	close(stop)
	working.Wait()
	for id, state := range acknowledged {
		now := f.next().get(t, id).State
		if state != "" {
			require.Equal(t, state, now, "sandbox %s", id)
		}
	}
	eventually(t, "the hosts have what was acknowledged and nothing else", func() bool {
		return len(host.agent.States()) == len(acknowledged)
	})
}

// attempt sends a request to some control plane and, where that is down or says
// that it goes, to the other, as a balancer does.
func (f *fleet) attempt(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	for range 100 {
		got, err := f.next().trySend(method, path, body)
		if err == nil && got.status != http.StatusServiceUnavailable {
			return got.status, got.body
		}
	}
	return 0, nil
}

func (f *fleet) tryCreate(t *testing.T) string {
	t.Helper()
	status, body := f.attempt(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base","timeout":600}`)
	var s sandbox
	if status != http.StatusCreated || json.Unmarshal(body, &s) != nil {
		return ""
	}
	return s.SandboxID
}

// tryPause returns the state that was acknowledged, if any was: a pause whose
// answer was lost is a conflict when it is sent again.
func (f *fleet) tryPause(t *testing.T, id string) string {
	t.Helper()
	if status, _ := f.attempt(t, http.MethodPost, "/sandboxes/"+id+"/pause", ""); status == http.StatusNoContent {
		return "paused"
	}
	return ""
}

func TestHosts_DrainPausesWhatRunsAndKeepsNewOnesAway(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	drained, other := f.join(t, "drained", echoGuest), f.join(t, "other", echoGuest)
	f.fill(t, drained, other)
	before := len(other.agent.States())
	requireStatus(t, http.StatusConflict, f.admin(t, http.MethodPost, "/nodes/"+drained.HostID, `{"status":"standby"}`))
	requireStatus(t, http.StatusBadRequest, f.admin(t, http.MethodPost, "/nodes/"+drained.HostID, `{"status":"gone"}`))
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodPost, "/nodes/"+drained.HostID, `{"status":"draining"}`))
	eventually(t, "what runs there is paused", func() bool {
		for _, state := range drained.agent.States() {
			if state != paused {
				return false
			}
		}
		return true
	})
	for id := range drained.agent.States() {
		eventually(t, "the pause is known", func() bool { return f.next().get(t, id).State == "paused" })
		requireStatus(t, http.StatusServiceUnavailable, f.next().do(t, http.MethodPost, "/v2/sandboxes/"+id+"/connect", ""))
	}
	for range 3 {
		f.next().create(t, `{"templateID":"base","timeout":600}`)
	}
	require.Len(t, other.agent.States(), before+3)
	requireStatus(t, http.StatusConflict, f.admin(t, http.MethodDelete, "/hosts/"+drained.HostID, ""))
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodPost, "/hosts/"+drained.HostID+"/undrain", ""))
	for id := range drained.agent.States() {
		requireStatus(t, http.StatusCreated, f.next().do(t, http.MethodPost, "/v2/sandboxes/"+id+"/connect", ""))
	}
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodDelete, "/hosts/"+drained.HostID+"?force=true", ""))
	requireStatus(t, http.StatusNotFound, f.admin(t, http.MethodGet, "/nodes/"+drained.HostID, ""))
	for id := range drained.agent.States() {
		requireStatus(t, http.StatusNotFound, f.next().do(t, http.MethodGet, "/sandboxes/"+id, ""))
	}
}

func TestHosts_RevocationEndsConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	host := f.join(t, "one", echoGuest)
	id := f.next().create(t, `{"templateID":"base","timeout":600}`).SandboxID
	for _, replica := range f.replicas {
		require.Equal(t, http.StatusOK, replica.send(t, http.MethodGet, "/", "", at(id, 8080)).status)
	}
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodPost, "/hosts/"+host.HostID+"/revoke", ""))
	for _, replica := range f.replicas {
		eventually(t, "the host is not reached any more", func() bool {
			return replica.send(t, http.MethodGet, "/", "", at(id, 8080)).status == http.StatusServiceUnavailable
		})
	}
	requireStatus(t, http.StatusServiceUnavailable, f.next().do(t, http.MethodPost, "/sandboxes/"+id+"/pause", ""))
	require.Equal(t, "running", f.next().get(t, id).State, "nobody knows that it does not run")
	_, request := newRequest(t)
	signature, err := authority.Sign(host.key, request)
	require.NoError(t, err)
	requireStatus(t, http.StatusUnauthorized, f.renew(t, host.Certificate, request, signature))
}

func (f *fleet) renew(t *testing.T, certificate, request, signature []byte) answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"certificate": certificate, "request": request, "signature": signature})
	require.NoError(t, err)
	return f.next().send(t, http.MethodPost, "/hosts/renew", string(body), nil)
}

func TestHosts_RenewTheirCertificatesWithoutAPause(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	host := f.join(t, "one", echoGuest)
	id := f.next().create(t, `{"templateID":"base","timeout":600}`).SandboxID
	fresh, request := newRequest(t)
	forged, err := authority.Sign(fresh, request)
	require.NoError(t, err)
	requireStatus(t, http.StatusUnauthorized, f.renew(t, host.Certificate, request, forged))
	signature, err := authority.Sign(host.key, request)
	require.NoError(t, err)
	renewed := f.renew(t, host.Certificate, request, signature)
	require.Equal(t, http.StatusCreated, renewed.status, "%s", renewed.body)
	renewed.decode(t, host)
	host.show(host.Authority, &tls.Certificate{Certificate: [][]byte{host.Certificate}, PrivateKey: fresh})
	for _, replica := range f.replicas {
		for port := range 3 {
			got := replica.send(t, http.MethodGet, "/", "", at(id, 8080+port))
			require.Equal(t, http.StatusOK, got.status, "%s", got.body)
		}
	}
}

func TestHosts_AreTakenOverFromAControlPlaneThatIsGone(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	var hosts []*member
	for n := range 2 {
		hosts = append(hosts, f.join(t, fmt.Sprintf("host-%d", n), echoGuest))
	}
	f.fill(t, hosts...)
	require.NoError(t, f.replicas[0].stop())
	left := f.replicas[1]
	for _, host := range hosts {
		for id := range host.agent.States() {
			host.agent.Put(id, paused)
			eventually(t, "a change is noticed by the one that is left", func() bool { return left.get(t, id).State == "paused" })
		}
	}
}

func TestUsageAndLimits_AreAnsweredAndKept(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	f.join(t, "one", echoGuest)
	first := f.next().create(t, `{"templateID":"base","timeout":600}`)
	var team string
	require.NoError(t, f.replicas[0].pool.QueryRow(t.Context(), "SELECT team_id::text FROM sandboxes WHERE id = $1", first.SandboxID).Scan(&team))
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodPut, "/admin/teams/"+team+"/limits", `{"maxSandboxes":1,"maxVcpus":8,"maxSnapshots":7}`))
	requireStatus(t, http.StatusBadRequest, f.admin(t, http.MethodPut, "/admin/teams/"+team+"/limits", `{"maxSandboxes":-1}`))
	requireStatus(t, http.StatusNotFound, f.admin(t, http.MethodPut, "/admin/teams/00000000-0000-0000-0000-000000000001/limits", `{}`))
	for range f.replicas {
		refused := f.next().do(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
		requireStatus(t, http.StatusTooManyRequests, refused)
		require.Contains(t, string(refused.body), "may have 1 sandboxes at once, and has 1")
	}
	var has struct {
		Limits struct{ MaxSandboxes, MaxVcpus, MaxDiskMiB, MaxSnapshots *int64 }
		InUse  struct{ Sandboxes, Vcpus, MemoryMiB, DiskMiB int64 }
	}
	f.next().do(t, http.MethodGet, "/teams/"+team+"/limits", "").decode(t, &has)
	require.EqualValues(t, 1, *has.Limits.MaxSandboxes)
	require.Nil(t, has.Limits.MaxDiskMiB)
	require.EqualValues(t, 7, *has.Limits.MaxSnapshots)
	require.EqualValues(t, 1, has.InUse.Sandboxes)
	require.EqualValues(t, 4096, has.InUse.DiskMiB)
	eventually(t, "what runs is counted", func() bool {
		var used struct {
			SandboxCount                  int
			VcpuSeconds, MemoryGiBSeconds float64
		}
		f.next().do(t, http.MethodGet, "/teams/"+team+"/usage", "").decode(t, &used)
		return used.SandboxCount == 1 && used.VcpuSeconds > 0 && used.MemoryGiBSeconds > 0
	})
	requireStatus(t, http.StatusBadRequest, f.next().do(t, http.MethodGet, "/teams/"+team+"/usage?start=yesterday", ""))
	requireStatus(t, http.StatusForbidden, f.next().do(t, http.MethodGet, "/teams/00000000-0000-0000-0000-000000000001/usage", ""))
}
