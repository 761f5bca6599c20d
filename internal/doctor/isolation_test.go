package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckIsolation_SaysWhatIsolatesSandboxesAndWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		chosen Chosen
		err    error
		status Status
		words  []string
		fix    string
	}{
		"before the first start": {status: OK, words: []string{"the first start chooses the driver"}},
		"Firecracker":            {chosen: Chosen{Driver: "firecracker", Accelerator: "kvm"}, status: OK, words: []string{"vm, by firecracker under kvm (a guest boots on KVM here)", "jail"}},
		"KVM":                    {chosen: Chosen{Driver: "qemu", Accelerator: "kvm"}, status: OK, words: []string{"vm, by qemu under kvm", "KVM and a confined QEMU"}},
		"emulation": {
			chosen: Chosen{Driver: "qemu", Accelerator: "tcg", Reason: "the guest\nhung"}, status: Warn,
			words: []string{"vm, by qemu under tcg (no guest boots on KVM here: the guest hung)", "do not promise"}, fix: "nested virtualisation",
		},
		"gVisor": {
			chosen: Chosen{Driver: "gvisor", Accelerator: "systrap"}, status: OK,
			words: []string{"gvisor, by gvisor under systrap", "no kernel of its own"}, fix: "WRENN_DRIVER=qemu",
		},
		"an unknown driver":       {chosen: Chosen{Driver: "another", Accelerator: "kvm"}, status: OK, words: []string{"unknown, by another under kvm"}},
		"without the permission":  {err: fmt.Errorf("open: %w", fs.ErrPermission), status: Warn, words: []string{"only root can check it"}, fix: "sudo"},
		"with an unreadable file": {err: errors.New("unexpected end of JSON"), status: Warn, words: []string{"unexpected end of JSON"}},
	} {
		o := options(t)
		o.Chosen = func() (Chosen, error) { return test.chosen, test.err }
		result := checkIsolation(t.Context(), o)
		require.Equal(t, test.status, result.Status, name)
		for _, words := range test.words {
			require.Contains(t, result.Detail, words, name)
		}
		require.Contains(t, result.Fix, test.fix, name)
		require.NotContains(t, result.Detail, "\n", name)
	}
	require.Equal(t, OK, checkIsolation(t.Context(), options(t)).Status)
}
