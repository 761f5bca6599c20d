package hostagent

import (
	"context"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// buildTests run on one agent, each with a team of its own.
var buildTests = map[string]func(t *testing.T, b *buildsUnderTest){
	"a template is built, and sandboxes begin as it says": testBuildTemplate,
	"files are copied from uploads, texts and stages":     testBuildFiles,
	"downloads and archives become files":                 testBuildDownloads,
	"a group is the commands' own":                        testBuildGroup,
	"secrets are in no layer and in no log":               testBuildSecrets,
	"a failure says what happened and what to do":         testBuildFailures,
	"a build that is cancelled leaves nothing":            testBuildCancel,
	"a VM that ends is replaced once":                     testBuildLostVM,
	"images are built from as they say":                   testBuildImages,
	"a template is made from nothing":                     testBuildScratch,
}

// buildsUnderTest are the builds of one team.
type buildsUnderTest struct {
	hostagentv1connect.BuilderClient
	agent    *agentUnderTest
	team     string
	registry *imagetest.Registry
}

func TestBuild(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	registry := imagetest.Serve(t)
	a := startAgent(t, dataDir, func(config *Config) {
		config.WarmMemoryPercent = 0
		config.Builds.InsecureRegistries = []string{registry.Host}
		config.Builds.ImagesMiB = 1024
	})
	t.Cleanup(func() { a.abort(t) })
	for name, test := range buildTests {
		t.Run(name, func(t *testing.T) {
			b := newBuilds(a)
			b.registry = registry
			defer a.holdToList(t, name)
			test(t, b)
		})
	}
	require.Empty(t, a.list(t))
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

func newBuilds(a *agentUnderTest) *buildsUnderTest {
	return &buildsUnderTest{
		BuilderClient: hostagentv1connect.NewBuilderClient(unixClient(a.config.RPCSocket), "http://agent"), agent: a, team: uuid.NewString(),
	}
}

// request is a build of steps after the base template.
func (b *buildsUnderTest) request(steps ...*pb.BuildStep) *pb.StartBuildRequest {
	return &pb.StartBuildRequest{
		BuildId: uuid.NewString(), TeamId: b.team, TemplateId: "template", VcpuCount: 1, MemoryMib: 512, DiskMib: 4096,
		Stages: []*pb.BuildStage{{Base: &pb.BuildStage_BuildId{BuildId: b.agent.build}, Steps: steps}},
	}
}

// build is one that has ended.
type built struct {
	request *pb.StartBuildRequest
	result  *pb.BuildResult
	entries []*pb.BuildLogEntry
	steps   map[string]*pb.BuildStepState
	took    time.Duration
}

// build builds, and deletes the result when the test ends.
func (b *buildsUnderTest) build(t *testing.T, request *pb.StartBuildRequest) built {
	t.Helper()
	began := time.Now()
	b.start(t, request)
	done := b.follow(t, request)
	done.took = time.Since(began)
	return done
}

func (b *buildsUnderTest) start(t *testing.T, request *pb.StartBuildRequest) {
	t.Helper()
	_, err := b.StartBuild(t.Context(), connect.NewRequest(request))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = b.CancelBuild(context.Background(), connect.NewRequest(&pb.CancelBuildRequest{BuildId: request.BuildId}))
		_, _ = b.agent.DeleteSnapshot(context.Background(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: request.BuildId}))
	})
}

// follow waits for the end of a build.
func (b *buildsUnderTest) follow(t *testing.T, request *pb.StartBuildRequest) built {
	t.Helper()
	const patience = 5 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := b.WatchBuild(ctx, connect.NewRequest(&pb.WatchBuildRequest{BuildId: request.BuildId}))
	require.NoError(t, err)
	defer stream.Close()
	done := built{request: request, steps: make(map[string]*pb.BuildStepState)}
	for stream.Receive() {
		if entry := stream.Msg().GetEntry(); entry != nil {
			done.entries = append(done.entries, entry)
			require.Equal(t, uint64(len(done.entries)), entry.Sequence)
		}
		if step := stream.Msg().GetStep(); step != nil {
			done.steps[step.Step] = step
		}
		if done.result = stream.Msg().GetResult(); done.result != nil {
			break
		}
	}
	require.NotNil(t, done.result, "the stream ended without a result: %v\n%s", stream.Err(), done.text())
	return done
}

func (d built) text() string {
	var lines []string
	for _, entry := range d.entries {
		lines = append(lines, entry.Text)
	}
	return strings.Join(lines, "\n")
}

func (d built) requireReady(t *testing.T) {
	t.Helper()
	require.NotNil(t, d.result.GetReady(), "%v\n%s", d.result.GetFailure(), d.text())
}

// requireFailure fails the test unless the build failed for a cause, in a step.
func (d built) requireFailure(t *testing.T, cause pb.BuildFailureCause, step string) *pb.BuildFailure {
	t.Helper()
	failure := d.result.GetFailure()
	require.NotNil(t, failure, d.text())
	require.Equal(t, cause, failure.Cause, "%v\n%s", failure, d.text())
	require.Equal(t, step, failure.Step)
	return failure
}

// sandbox creates a sandbox of a finished build.
func (b *buildsUnderTest) sandbox(t *testing.T, done built, environment map[string]string) string {
	t.Helper()
	done.requireReady(t)
	made := id.NewSandbox()
	b.agent.killAfter(t, made)
	_, err := b.agent.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: made, BuildId: done.request.BuildId, Identity: &pb.Identity{LifecycleId: made, EnvVars: environment},
	}))
	require.NoError(t, err)
	return made
}

// run is a step that runs a command line.
func run(name, command string) *pb.BuildStep {
	return &pb.BuildStep{Name: name, Text: "RUN " + command, Kind: &pb.BuildStep_Run{Run: &pb.RunStep{Command: command}}}
}

func env(name string, pairs ...string) *pb.BuildStep {
	step := &pb.EnvStep{}
	for i := 0; i < len(pairs); i += 2 {
		step.Variables = append(step.Variables, &pb.Variable{Name: pairs[i], Value: pairs[i+1]})
	}
	return &pb.BuildStep{Name: name, Text: "ENV " + strings.Join(pairs, " "), Kind: &pb.BuildStep_Env{Env: step}}
}

func workdir(name, path string) *pb.BuildStep {
	return &pb.BuildStep{Name: name, Text: "WORKDIR " + path, Kind: &pb.BuildStep_Workdir{Workdir: &pb.WorkdirStep{Path: path}}}
}

func user(name, who string) *pb.BuildStep {
	return &pb.BuildStep{Name: name, Text: "USER " + who, Kind: &pb.BuildStep_User{User: &pb.UserStep{Name: who, Sudo: true}}}
}

func testBuildTemplate(t *testing.T, b *buildsUnderTest) {
	steps := []*pb.BuildStep{
		run("1", "echo as $(id -un) in $PWD; echo kept > kept; sleep 600 & echo to stderr >&2"),
		env("2", "COLOUR", "blue", "WHERE", "$HOME/$COLOUR"),
		env("3", "SHADE", "dark $COLOUR", "PATH", "/opt/tools:$PATH"),
		user("4", "worker"),
		workdir("5", "/srv/app"),
		run("6", "echo $COLOUR $SHADE; echo $PATH; id -un; pgrep sleep; sudo id -un; echo $((6*7)) > answer"),
	}
	request := b.request(steps...)
	request.StartCommand = "while :; do echo tick >> ticks; sleep 0.2; done"
	request.ReadyCommand = "test $(wc -l < ticks) -gt 2"
	first := b.build(t, request)
	first.requireReady(t)
	t.Log(first.text())
	require.Contains(t, first.text(), "[builder 1/6] [stdout]: as user in /home/user")
	require.Contains(t, first.text(), "[builder 1/6] [stderr]: to stderr")
	require.Contains(t, first.text(), "[builder 6/6] [stdout]: blue dark blue\n[builder 6/6] [stdout]: /opt/tools:/usr/local/sbin")
	require.Contains(t, first.text(), "[builder 6/6] [stdout]: worker\n[builder 6/6] [stdout]: root", "what a step leaves is ended")
	require.Equal(t, uint32(4096), first.result.GetReady().DiskMib)

	made := b.sandbox(t, first, map[string]string{"SHADE": "light"})
	require.Equal(t, "worker /srv/app blue light 42", b.agent.run(t, made, "echo $(id -un) $PWD $COLOUR $SHADE $(cat answer)"))
	require.Equal(t, "kept", b.agent.run(t, made, "cat /home/user/kept"))
	ticks := b.agent.run(t, made, "wc -l < ticks")
	require.Eventually(t, func() bool { return b.agent.run(t, made, "wc -l < ticks") != ticks }, 20*time.Second, 100*time.Millisecond, "the start command runs on")

	again := b.request(steps...)
	again.StartCommand, again.ReadyCommand = request.StartCommand, request.ReadyCommand
	second := b.build(t, again)
	second.requireReady(t)
	t.Logf("first took %s, second %s, %.3f of it", first.took, second.took, second.took.Seconds()/first.took.Seconds())
	require.Less(t, second.took, first.took/10)
	for name, step := range second.steps {
		require.True(t, step.Cached, name)
	}
	require.Equal(t, "42", b.agent.run(t, b.sandbox(t, second, nil), "cat answer"))

	changed := b.request(append(steps[:5:5], run("6", "cat /home/user/kept; exit 3"))...)
	third := b.build(t, changed)
	failure := third.requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_COMMAND_FAILED, "6")
	require.Equal(t, int32(3), failure.ExitCode)
	require.Equal(t, []string{"kept"}, failure.LastLines)
	require.True(t, third.steps["5"].Cached)
}
