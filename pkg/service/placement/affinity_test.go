package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

func TestCreate_HeedsWhatIsAskedOfTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, _ := f.SecondHost(t)
	_, err := f.Pool.Exec(t.Context(), "UPDATE hosts SET tags = '{gpu}' WHERE id = $1", second)
	require.NoError(t, err)
	create := func(affinity placement.Affinity) error {
		_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60, Affinity: affinity})
		return err
	}
	for range 3 {
		s, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60, Affinity: placement.Affinity{HostTags: []string{"gpu"}}})
		require.NoError(t, err)
		require.Equal(t, second, s.HostID)
	}
	require.Equal(t, fault.Unavailable, fault.CodeOf(create(placement.Affinity{HostTags: []string{"tpu"}})))
	apart := placement.Affinity{Group: "db", Spread: "apart"}
	require.NoError(t, create(apart))
	require.NoError(t, create(apart))
	require.Equal(t, fault.Exhausted, fault.CodeOf(create(apart)))
	for _, wrong := range []placement.Affinity{
		{Spread: "apart"}, {Group: "db", Spread: "near"}, {Group: "a/b"}, {HostTags: []string{"NO"}},
	} {
		require.Equal(t, fault.Invalid, fault.CodeOf(create(wrong)), "%v", wrong)
	}
}
