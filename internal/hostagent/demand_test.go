package hostagent

import (
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// named is a driver of which only the name is asked.
type named struct {
	vmm.Driver

	name string
}

func (n named) Name() string { return n.name }

func TestServer_RefusesAnotherIsolationThanItsDriverGives(t *testing.T) {
	t.Parallel()
	for driver, given := range map[string]string{DriverQEMU: "vm", DriverFirecracker: "vm", "gvisor": "gvisor"} {
		s := &server{driver: named{name: driver}}
		for _, demand := range []string{"", given} {
			require.NoError(t, s.requireIsolation(demand), driver)
		}
		for _, demand := range []string{"vm", "gvisor", "another"} {
			if demand == given {
				continue
			}
			_, err := s.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{Isolation: demand}))
			require.Equal(t, pb.Reason_REASON_WRONG_ISOLATION, reasonOf(t, err), "%s for %s", driver, demand)
			_, err = s.ResumeSandbox(t.Context(), connect.NewRequest(&pb.ResumeSandboxRequest{Isolation: demand}))
			require.Equal(t, pb.Reason_REASON_WRONG_ISOLATION, reasonOf(t, err), "%s for %s", driver, demand)
			require.ErrorContains(t, err, "this host runs "+driver+", which gives "+given)
		}
	}
}
