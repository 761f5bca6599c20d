package hostagent

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/hostagent/choice"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

func TestChooseDriver_SuitsTheMachineAndTheDataDirectory(t *testing.T) {
	t.Parallel()
	old := choice.Choice{Machine: "m", Accelerator: qemu.KVM} // written before there was a choice
	for name, given := range map[string]struct {
		wanted      string
		known       choice.Choice
		accelerator string
		missing     error
		want        string
	}{
		"fresh, all there":                  {DriverAuto, choice.Choice{}, qemu.KVM, nil, DriverFirecracker},
		"fresh, not installed":              {DriverAuto, choice.Choice{}, qemu.KVM, firecracker.ErrNotInstalled, DriverQEMU},
		"fresh, no KVM":                     {DriverAuto, choice.Choice{}, qemu.TCG, nil, DriverQEMU},
		"began with QEMU":                   {DriverAuto, choice.Choice{Driver: DriverQEMU}, qemu.KVM, nil, DriverQEMU},
		"began before the choice":           {DriverAuto, old, qemu.KVM, nil, DriverQEMU},
		"began with Firecracker":            {DriverAuto, choice.Choice{Driver: DriverFirecracker}, qemu.KVM, nil, DriverFirecracker},
		"Firecracker gone":                  {DriverAuto, choice.Choice{Driver: DriverFirecracker}, qemu.KVM, firecracker.ErrNotInstalled, ""},
		"asked for Firecracker":             {DriverFirecracker, old, qemu.KVM, nil, DriverFirecracker},
		"asked for what is not there":       {DriverFirecracker, choice.Choice{}, qemu.KVM, firecracker.ErrNotInstalled, ""},
		"Firecracker not static":            {DriverAuto, choice.Choice{}, qemu.KVM, firecracker.ErrNotStatic, DriverQEMU},
		"asked for a dynamic one":           {DriverFirecracker, choice.Choice{}, qemu.KVM, firecracker.ErrNotStatic, ""},
		"asked for it without KVM":          {DriverFirecracker, choice.Choice{}, qemu.TCG, nil, ""},
		"asked for QEMU":                    {DriverQEMU, choice.Choice{Driver: DriverFirecracker}, qemu.KVM, nil, DriverQEMU},
		"began with gVisor, asked for QEMU": {DriverQEMU, choice.Choice{Driver: DriverGVisor}, qemu.TCG, nil, DriverQEMU},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := chooseDriver(given.wanted, given.known, given.accelerator, given.missing)
			require.Equal(t, given.want, got)
			require.Equal(t, given.want == "", err != nil, "%v", err)
		})
	}
}

func TestConfig_RefusesADriverThatThereIsNot(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: "d", CacheDir: "c", EnvdPath: "e", RPCSocket: "r", TrafficSocket: "t", Driver: "xen"}
	require.ErrorContains(t, settings.Check(&config), "WRENN_DRIVER must be auto, qemu, firecracker or gvisor")
}

func TestOpenDriver_DoesNotGuessTheDriverOfAUsedDataDirectory(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir()}
	path := filepath.Join(config.DataDir, "accelerator.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"machine":"half-writ`), 0o600))
	storage := filepath.Join(config.DataDir, "storage")
	require.NoError(t, os.MkdirAll(filepath.Join(storage, sandboxDirectory, ".warm"), 0o700))
	used, err := isUsed(storage)
	require.NoError(t, err)
	require.False(t, used)

	require.NoError(t, os.MkdirAll(filepath.Join(storage, snapshotDirectory, "taken"), 0o700))
	_, err = openDriver(t.Context(), config, storage, func(context.Context) (template.Image, error) { return template.Image{}, nil })
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, `write {"driver":"qemu"}`)
}

func TestChoice_OfAProbeThatTimedOutHoldsForOneBoot(t *testing.T) {
	t.Parallel()
	certain, chance := choice.Choice{Machine: "m"}, choice.Choice{Machine: "m", BootID: "first"}
	require.True(t, certain.Holds("m", "second"))
	require.False(t, certain.Holds("other", "second"))
	require.True(t, chance.Holds("m", "first"))
	require.False(t, chance.Holds("m", "second"))
	now, err := bootID()
	require.NoError(t, err)
	require.Len(t, now, 36)
}

func TestChoice_IsRememberedAsItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accelerator.json")
	written := choice.Choice{Machine: "m", Accelerator: qemu.TCG, Reason: "r", BootID: "b", Driver: DriverQEMU}
	require.NoError(t, choice.Write(path, written))
	read, err := choice.Read(path)
	require.NoError(t, err)
	require.Equal(t, written, read)
}
