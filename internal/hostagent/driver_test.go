package hostagent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

func TestChooseDriver_SuitsTheMachineAndWhatIsKept(t *testing.T) {
	t.Parallel()
	old := choice{Machine: "m", Accelerator: qemu.KVM} // written before there was a choice
	for name, given := range map[string]struct {
		wanted      string
		known       choice
		accelerator string
		missing     error
		want        string
	}{
		"fresh, all there":            {DriverAuto, choice{}, qemu.KVM, nil, DriverFirecracker},
		"fresh, not installed":        {DriverAuto, choice{}, qemu.KVM, firecracker.ErrNotInstalled, DriverQEMU},
		"fresh, no KVM":               {DriverAuto, choice{}, qemu.TCG, nil, DriverQEMU},
		"began with QEMU":             {DriverAuto, choice{Driver: DriverQEMU}, qemu.KVM, nil, DriverQEMU},
		"began before the choice":     {DriverAuto, old, qemu.KVM, nil, DriverQEMU},
		"began with Firecracker":      {DriverAuto, choice{Driver: DriverFirecracker}, qemu.KVM, nil, DriverFirecracker},
		"Firecracker gone":            {DriverAuto, choice{Driver: DriverFirecracker}, qemu.KVM, firecracker.ErrNotInstalled, ""},
		"asked for Firecracker":       {DriverFirecracker, old, qemu.KVM, nil, DriverFirecracker},
		"asked for what is not there": {DriverFirecracker, choice{}, qemu.KVM, firecracker.ErrNotInstalled, ""},
		"asked for it without KVM":    {DriverFirecracker, choice{}, qemu.TCG, nil, ""},
		"asked for QEMU":              {DriverQEMU, choice{Driver: DriverFirecracker}, qemu.KVM, nil, DriverQEMU},
	} {
		got, err := chooseDriver(given.wanted, given.known, given.accelerator, given.missing)
		require.Equal(t, given.want, got, name)
		require.Equal(t, given.want == "", err != nil, name)
	}
}

func TestConfig_RefusesADriverThatThereIsNot(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: "d", CacheDir: "c", EnvdPath: "e", RPCSocket: "r", TrafficSocket: "t", Driver: "xen"}
	require.ErrorContains(t, config.validate(), "xen")
}
