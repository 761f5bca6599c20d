package fleet_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

func (f fixture) registry(t *testing.T) *fleet.Service {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	keyring, err := seal.NewKeyring(key)
	require.NoError(t, err)
	ca, err := fleet.OpenAuthority(t.Context(), f.Pool, keyring)
	require.NoError(t, err)
	return fleet.New(f.Pool, ca, f.Service, fleet.DefaultOvercommit, f.Log)
}

// join lets a machine join the fleet under a name.
func join(t *testing.T, registry *fleet.Service, name string) uuid.UUID {
	t.Helper()
	token, _, err := registry.CreateToken(t.Context(), nil, time.Hour)
	require.NoError(t, err)
	key, err := authority.NewKey()
	require.NoError(t, err)
	request, err := authority.NewRequest(key)
	require.NoError(t, err)
	member, err := registry.Join(t.Context(), fleet.Joining{Token: token, Name: name, Address: "192.0.2.1:7777", Request: request})
	require.NoError(t, err)
	return member.HostID
}

// The type, the resource and the data of each event of hosts, which belong to the
// installation.
func TestEvents_AreToldOfEachStepOfAHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	registry := f.registry(t)
	require.NoError(t, registry.Drain(t.Context(), f.Host))
	require.NoError(t, registry.Drain(t.Context(), f.Host))
	require.NoError(t, registry.Undrain(t.Context(), f.Host))
	require.Equal(t, fault.Conflict, fault.CodeOf(registry.Retire(t.Context(), f.Host, true)), "it is the control plane's own machine")
	second := join(t, registry, "second")
	require.Equal(t, second, join(t, registry, "second"), "it has not been reached yet")
	require.NoError(t, registry.Retire(t.Context(), second, false))
	var told []string
	for _, line := range servicetest.Told(t, f.Pool, events.Installation) {
		if line[:5] == "host." {
			told = append(told, line)
		}
	}
	local, other := f.Host.String(), second.String()
	require.Equal(t, []string{
		"host.registered " + local + ` {"name": "local", "state": "pending"}`,
		"host.ready " + local + ` {"name": "local", "state": "ready"}`,
		"host.draining " + local + ` {"name": "local", "state": "draining"}`,
		"host.ready " + local + ` {"name": "local", "state": "ready"}`,
		"host.registered " + other + ` {"name": "second", "state": "pending"}`,
		"host.retired " + other + ` {"name": "second", "state": "retired"}`,
	}, told)
}
