// Package protocol tests the check that keeps the wire protocols compatible with
// what was released.
package protocol

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	protocols = "../../proto"
	released  = protocols + "/released.binpb"
)

// breaking runs the comparison of `make check-protocol` on a directory of protocols.
func breaking(t *testing.T, directory string) (complaints string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../../tools/go.mod", "buf", "breaking", directory, "--against", released)
	output, err := command.CombinedOutput()
	return string(output), err
}

func TestBreaking_AcceptsWhatIsCommitted(t *testing.T) {
	complaints, err := breaking(t, protocols)
	require.NoError(t, err, complaints)
}

func TestBreaking_RefusesIncompatibleChanges(t *testing.T) {
	const agent = "hostagent/v1/hostagent.proto"
	for name, change := range map[string]struct{ files, before, after, complaint string }{
		"a deleted call":            {agent, "rpc DeleteVolume(DeleteVolumeRequest) returns (DeleteVolumeResponse);", "", `RPC "DeleteVolume"`},
		"a deleted field":           {agent, "string lifecycle_id = 3;", "", `"lifecycle_id"`},
		"a renumbered field":        {agent, "string lifecycle_id = 3;", "string lifecycle_id = 4;", `"lifecycle_id"`},
		"a field of another type":   {agent, "string lifecycle_id = 3;", "bytes lifecycle_id = 3;", `"lifecycle_id"`},
		"a renumbered enum value":   {agent, "REASON_KILLED = 16;", "REASON_KILLED = 99;", `"16"`},
		"a package of another name": {"hostagent/v1/*.proto", "package hostagent.v1;", "package hostagent.v2;", `"hostagent.v1"`},
		"a change of E2B's wire":    {"process/process.proto", "service Process {", "service Processes {", `"Process"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			require.NoError(t, os.CopyFS(directory, os.DirFS(protocols)))
			paths, err := filepath.Glob(filepath.Join(directory, change.files))
			require.NoError(t, err)
			require.NotEmpty(t, paths)
			for _, path := range paths {
				content, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Contains(t, string(content), change.before)
				require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(content), change.before, change.after, 1)), 0o600))
			}
			complaints, err := breaking(t, directory)
			require.Error(t, err)
			require.Contains(t, complaints, change.complaint)
		})
	}
}
