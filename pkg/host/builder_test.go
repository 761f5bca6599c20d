package host_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

func startBuilder(t *testing.T) (*host.Client, *hosttest.Agent) {
	t.Helper()
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := host.NewClient(agent.RPCSocket)
	t.Cleanup(client.Close)
	return client, agent
}

func TestStartBuild_SendsTheWholeDefinition(t *testing.T) {
	t.Parallel()
	client, agent := startBuilder(t)
	stage, content := 0, "text"
	entrypoint, none := []string{"run"}, []string{}
	require.NoError(t, client.StartBuild(t.Context(), build.Start{
		BuildID: "b", TeamID: "t", TemplateID: "tpl", VCPUCount: 2, MemoryMiB: 512, DiskMiB: 4096,
		Builds: map[string]string{"base": "id of base"},
		Confidential: build.Confidential{
			Secrets: map[string][]byte{"token": []byte("s")},
			Registries: map[string]build.Credentials{
				"aws/i": {AWS: &build.AWSCredentials{AccessKeyID: "a", SecretAccessKey: "b", Region: "c"}},
				"gcp/i": {Google: &build.GoogleCredentials{ServiceAccountJSON: "{}"}},
			},
		},
		Definition: build.Definition{StartCommand: "start", ReadyCommand: "ready", Force: true, UseImageCommand: true, Init: "systemd", Stages: []build.Stage{
			{Name: "first", Base: build.Base{Image: "aws/i"}, Steps: []build.Step{
				{Name: "1", Text: "RUN x", Line: 7, Run: &build.Run{Exec: []string{"x"}, Secrets: []build.SecretMount{{ID: "token", Variable: "T", Required: true}}}},
				{Name: "2", AddURL: &build.AddURL{URL: "https://example.com/a", Destination: "/a", Checksum: "sha256:00"}},
				{Name: "3", Arg: []build.Variable{{Name: "A", Value: "1"}}},
				{Name: "4", Shell: []string{"/bin/sh", "-c"}},
				{Name: "5", ImageConfig: &build.ImageConfig{Entrypoint: &entrypoint, Command: &none}},
			}},
			{Base: build.Base{Stage: &stage}, Steps: []build.Step{
				{Name: "6", Copy: &build.Copy{FromStage: &stage, Sources: []string{"a"}, Destination: "/b"}},
				{Name: "7", Copy: &build.Copy{FromImage: "gcp/i", Sources: []string{"a"}, Destination: "/b"}},
				{Name: "8", Copy: &build.Copy{Content: &content, Destination: "/c"}},
			}},
			{Base: build.Base{Scratch: true}},
			{Base: build.Base{Template: "base"}},
		}},
	}))
	sent := agent.Builder.Request("b")
	require.Equal(t, "systemd", sent.Init)
	require.True(t, sent.UseImageCommand)
	require.Equal(t, []byte("s"), sent.Secrets["token"])
	first, second := sent.Stages[0], sent.Stages[1]
	require.Equal(t, "c", first.GetImage().GetAws().Region)
	require.EqualValues(t, 7, first.Steps[0].Line)
	require.Equal(t, "T", first.Steps[0].GetRun().Secrets[0].Variable)
	require.Equal(t, "sha256:00", first.Steps[1].GetAddUrl().Checksum)
	require.Equal(t, "1", first.Steps[2].GetArg().Variables[0].Value)
	require.Equal(t, []string{"/bin/sh", "-c"}, first.Steps[3].GetShell().Shell)
	require.Equal(t, []string{"run"}, first.Steps[4].GetImageConfig().Entrypoint.Values)
	require.NotNil(t, first.Steps[4].GetImageConfig().Command)
	require.Zero(t, second.GetStage())
	require.NotNil(t, second.Steps[0].GetCopy().FromStage)
	require.Equal(t, "{}", second.Steps[1].GetCopy().FromImage.GetGoogle().ServiceAccountJson)
	require.Equal(t, "text", string(second.Steps[2].GetCopy().Content))
	require.True(t, sent.Stages[2].GetScratch())
	require.Equal(t, "id of base", sent.Stages[3].GetBuildId())
}

func TestWatchBuild_TellsEntriesAndTheResult(t *testing.T) {
	t.Parallel()
	client, agent := startBuilder(t)
	ignore := func(build.Update) error { return nil }
	require.True(t, fault.Is(client.WatchBuild(t.Context(), "b", 0, ignore), fault.NotFound))
	require.NoError(t, client.StartBuild(t.Context(), build.Start{BuildID: "b"}))
	agent.Builder.Say("b", "1", "one", "two")
	agent.Builder.Fail("b", &pb.BuildFailure{Cause: pb.BuildFailureCause_BUILD_FAILURE_CAUSE_NO_SPACE, Step: "1", Line: 3, ExitCode: 4})
	var told []build.Update
	require.NoError(t, client.WatchBuild(t.Context(), "b", 1, func(update build.Update) error { told = append(told, update); return nil }))
	require.Len(t, told, 2)
	require.Equal(t, "two", told[0].Entry.Text)
	require.EqualValues(t, 2, told[0].Entry.Sequence)
	require.Equal(t, &build.Failure{Cause: build.CauseNoSpace, Step: "1", Line: 3, ExitCode: 4}, told[1].Result.Failure)
	stop := errors.New("enough")
	require.ErrorIs(t, client.WatchBuild(t.Context(), "b", 0, func(build.Update) error { return stop }), stop)
}

func TestReadBuildFiles_ReadsAnUploadWholeOrFails(t *testing.T) {
	t.Parallel()
	client, agent := startBuilder(t)
	content := bytes.Repeat([]byte("content "), 1000)
	require.NoError(t, client.PutBuildFiles(t.Context(), "t", "h", int64(len(content)), bytes.NewReader(content)))
	read := func() ([]byte, error) {
		stream, size, err := client.ReadBuildFiles(t.Context(), "t", "h")
		require.NoError(t, err)
		require.EqualValues(t, len(content), size)
		defer stream.Close()
		return io.ReadAll(stream)
	}
	got, err := read()
	require.NoError(t, err)
	require.Equal(t, content, got)
	_, _, err = client.ReadBuildFiles(t.Context(), "t", "none")
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	agent.Builder.CutUploads()
	_, err = read()
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

func TestPutBuildFiles_RefusesContentOfAnotherSize(t *testing.T) {
	t.Parallel()
	client, agent := startBuilder(t)
	content := bytes.Repeat([]byte("x"), 1<<20)
	require.NoError(t, client.PutBuildFiles(t.Context(), "t", "h", int64(len(content)), bytes.NewReader(content)))
	stored, has := agent.Builder.Upload("t", "h")
	require.True(t, has)
	require.Equal(t, content, stored)
	require.NoError(t, client.PutBuildFiles(t.Context(), "t", "empty", 0, strings.NewReader("")))
	for name, err := range map[string]error{
		"short": client.PutBuildFiles(t.Context(), "t", "short", 10, strings.NewReader("x")),
		"long":  client.PutBuildFiles(t.Context(), "t", "long", 1, strings.NewReader("xx")),
	} {
		require.True(t, fault.Is(err, fault.Invalid), "%s: %v", name, err)
		_, has := agent.Builder.Upload("t", name)
		require.False(t, has, name)
	}
	broken := client.PutBuildFiles(t.Context(), "t", "broken", 10, io.MultiReader(strings.NewReader("x"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	require.Error(t, broken)
}
