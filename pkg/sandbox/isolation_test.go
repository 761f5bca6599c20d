package sandbox_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func TestIsolationOf_IsWhatADriverGives(t *testing.T) {
	t.Parallel()
	for driver, want := range map[string]sandbox.Isolation{
		"firecracker": sandbox.VM, "qemu": sandbox.VM, "gvisor": sandbox.GVisor, "": "", "another": "", "vm": "",
	} {
		require.Equal(t, want, sandbox.IsolationOf(driver), driver)
	}
	for _, isolation := range sandbox.Isolations() {
		require.NotEmpty(t, isolation.Drivers())
		for _, driver := range isolation.Drivers() {
			require.Equal(t, isolation, sandbox.IsolationOf(driver))
		}
	}
	require.Empty(t, sandbox.Isolation("").Drivers())
}

func TestIsolation_StandsForNoOther(t *testing.T) {
	t.Parallel()
	for _, given := range append(sandbox.Isolations(), "") {
		require.True(t, given.Satisfies(""))
		for _, demand := range sandbox.Isolations() {
			require.Equal(t, given == demand, given.Satisfies(demand), "%q for %q", given, demand)
		}
	}
}

func TestIsolation_IsValidWhereThereIsADriverForIt(t *testing.T) {
	t.Parallel()
	for _, valid := range append(sandbox.Isolations(), "") {
		require.NoError(t, valid.Validate())
	}
	for _, invalid := range []sandbox.Isolation{"VM", "any", "container", " vm"} {
		require.ErrorContains(t, invalid.Validate(), "vm or gvisor")
	}
}

func TestDemandedIsolation_IsTheTeamsWhereAClientAsksForNoOther(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ asked, team, want sandbox.Isolation }{
		{"", "", ""}, {sandbox.VM, "", sandbox.VM}, {"", sandbox.VM, sandbox.VM}, {sandbox.VM, sandbox.VM, sandbox.VM}, {"", sandbox.GVisor, sandbox.GVisor},
	} {
		demand, err := sandbox.DemandedIsolation(test.asked, test.team)
		require.NoError(t, err)
		require.Equal(t, test.want, demand, test)
	}
	_, err := sandbox.DemandedIsolation(sandbox.GVisor, sandbox.VM)
	var conflict *sandbox.IsolationConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, sandbox.IsolationConflictError{Asked: sandbox.GVisor, Team: sandbox.VM}, *conflict)
	_, err = sandbox.DemandedIsolation(sandbox.VM, sandbox.GVisor)
	require.ErrorAs(t, err, &conflict)
}

func TestMaker_RestoresWhatItMadeAndWhatAnyRestores(t *testing.T) {
	t.Parallel()
	kvm, tcg := sandbox.Maker{Driver: "qemu", Accelerator: "kvm"}, sandbox.Maker{Driver: "qemu", Accelerator: "tcg"}
	require.True(t, kvm.Restores(kvm))
	require.True(t, kvm.Restores(sandbox.Maker{}))
	require.False(t, kvm.Restores(tcg))
	require.False(t, kvm.Restores(sandbox.Maker{Driver: "firecracker", Accelerator: "kvm"}))
	require.Equal(t, "qemu under kvm", kvm.String())
}
