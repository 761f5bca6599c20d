package vmm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMaker_RestoresWhatItMadeInAnyVersion(t *testing.T) {
	t.Parallel()
	here := Maker{Driver: "qemu", Accelerator: "kvm", Version: "8"}
	require.NoError(t, here.Restores(Maker{}), "from before it was written down")
	require.NoError(t, here.Restores(here))
	require.NoError(t, here.Restores(Maker{Driver: "qemu", Accelerator: "kvm", Version: "7"}))

	err := here.Restores(Maker{Driver: "qemu", Accelerator: "tcg"})
	require.EqualError(t, err, "the snapshot was made by qemu under tcg and does not restore with qemu under kvm (8): resume it on a host that runs qemu under tcg")
	err = here.Restores(Maker{Driver: "firecracker", Accelerator: "kvm"})
	require.ErrorContains(t, err, "--driver firecracker")
}

func TestMaker_WithExactVersionRestoresNoOther(t *testing.T) {
	t.Parallel()
	here := Maker{Driver: "gvisor", Accelerator: "systrap", Version: "2", ExactVersion: true}
	require.NoError(t, here.Restores(here))
	earlier := here
	earlier.Version = "1"
	require.EqualError(t, here.Restores(earlier), "the snapshot's memory was saved by gvisor under systrap (1) and restores in that version only, "+
		"not with gvisor under systrap (2): resume it without its memory, or on a host with that version")
}
