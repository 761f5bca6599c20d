package process

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
)

func TestBuildEnvironment_IsALoginsUnlessTheSandboxOrTheRequestSaysOtherwise(t *testing.T) {
	user := &permissions.User{Name: "alice", UID: 4_000_000_000, Home: "/home/alice"}
	request := &pb.StartRequest{Process: &pb.ProcessConfig{Cmd: "true"}}
	environment, err := buildEnvironment(request, user, nil)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"PATH=" + defaultPath, "HOME=/home/alice", "USER=alice", "LOGNAME=alice", "SHELL=/bin/bash", "LANG=C.UTF-8",
	}, environment)

	request.Process.Envs = map[string]string{"USER": "request"}
	environment, err = buildEnvironment(request, user, map[string]string{"USER": "sandbox", "LANG": "de_DE.UTF-8"})
	require.NoError(t, err)
	require.Contains(t, environment, "USER=request")
	require.Contains(t, environment, "LANG=de_DE.UTF-8")
}

func TestBuildCommand_StartsInTheRootDirectoryWhenTheHomeIsMissing(t *testing.T) {
	user := &permissions.User{Name: "nonroot", UID: 65532, Home: "/no/such/home"}
	request := &pb.StartRequest{Process: &pb.ProcessConfig{Cmd: "/bin/true"}}
	command, err := buildCommand(request, user, nil, "")
	require.NoError(t, err)
	require.Equal(t, "/", command.Dir)
	missing := "/no/such/place"
	request.Process.Cwd = &missing
	_, err = buildCommand(request, user, nil, "")
	require.ErrorContains(t, err, "cwd: /no/such/place is not a directory")
}
