package service_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

func TestCreate_HeedsWhatIsAskedOfTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, _ := f.secondHost(t)
	_, err := f.pool.Exec(t.Context(), "UPDATE hosts SET tags = '{gpu}' WHERE id = $1", second)
	require.NoError(t, err)
	create := func(affinity service.Affinity) error {
		_, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60, Affinity: affinity})
		return err
	}
	for range 3 {
		s, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60, Affinity: service.Affinity{HostTags: []string{"gpu"}}})
		require.NoError(t, err)
		require.Equal(t, second, s.HostID)
	}
	require.Equal(t, fault.Unavailable, fault.CodeOf(create(service.Affinity{HostTags: []string{"tpu"}})))
	apart := service.Affinity{Group: "db", Spread: "apart"}
	require.NoError(t, create(apart))
	require.NoError(t, create(apart))
	require.Equal(t, fault.Exhausted, fault.CodeOf(create(apart)))
	for _, wrong := range []service.Affinity{
		{Spread: "apart"}, {Group: "db", Spread: "near"}, {Group: "a/b"}, {HostTags: []string{"NO"}},
	} {
		require.Equal(t, fault.Invalid, fault.CodeOf(create(wrong)), "%v", wrong)
	}
}
