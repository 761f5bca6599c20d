package hostagent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// upload stores an archive of files, and returns its hash.
func (b *buildsUnderTest) upload(t *testing.T, files map[string]string) string {
	t.Helper()
	var content bytes.Buffer
	zip := gzip.NewWriter(&content)
	archive := tar.NewWriter(zip)
	for name, text := range files {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o640, Size: int64(len(text))}))
		_, err := archive.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zip.Close())
	sum := sha256.Sum256(content.Bytes())
	hash := hex.EncodeToString(sum[:])
	require.NoError(t, b.put(t.Context(), hash, content.Bytes(), content.Len()))
	return hash
}

// put sends an upload in chunks.
func (b *buildsUnderTest) put(ctx context.Context, hash string, content []byte, announced int) error {
	stream := b.PutBuildFiles(ctx)
	err := stream.Send(&pb.PutBuildFilesRequest{TeamId: b.team, Hash: hash, SizeBytes: uint64(announced)})
	for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
		if err == nil {
			err = stream.Send(&pb.PutBuildFilesRequest{Chunk: part})
		}
	}
	_, err = stream.CloseAndReceive()
	return err
}

func copyFiles(name string, step *pb.CopyStep) *pb.BuildStep {
	return &pb.BuildStep{Name: name, Text: "COPY " + strings.Join(step.Sources, " ") + " " + step.Destination, Kind: &pb.BuildStep_Copy{Copy: step}}
}

func testBuildFiles(t *testing.T, b *buildsUnderTest) {
	hash := b.upload(t, map[string]string{"app/main.py": "print('hello')", "app/lib/util.py": "", "notes.txt": "notes"})
	found, err := b.FindBuildFiles(t.Context(), connect.NewRequest(&pb.FindBuildFilesRequest{TeamId: b.team, Hash: hash}))
	require.NoError(t, err)
	require.True(t, found.Msg.Present)
	sent, err := b.ReadBuildFiles(t.Context(), connect.NewRequest(&pb.ReadBuildFilesRequest{TeamId: b.team, Hash: hash}))
	require.NoError(t, err)
	require.True(t, sent.Receive())
	require.True(t, sent.Msg().Present)
	var content []byte
	size := sent.Msg().SizeBytes
	for sent.Receive() {
		content = append(content, sent.Msg().Chunk...)
	}
	require.NoError(t, sent.Err())
	require.Len(t, content, int(size))
	sum := sha256.Sum256(content)
	require.Equal(t, hash, hex.EncodeToString(sum[:]))
	missing := strings.Repeat("0", 64)
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(b.put(t.Context(), missing, []byte("short"), 6)))
	found, err = b.FindBuildFiles(t.Context(), connect.NewRequest(&pb.FindBuildFilesRequest{TeamId: b.team, Hash: missing}))
	require.NoError(t, err)
	require.False(t, found.Msg.Present)

	stage := uint32(0)
	request := b.request(
		copyFiles("1", &pb.CopyStep{FilesHash: hash, Sources: []string{"app"}, Destination: "code"}),
		copyFiles("2", &pb.CopyStep{FilesHash: hash, Sources: []string{"*.txt"}, Destination: "/srv/", Owner: "root", Mode: "600"}),
		copyFiles("3", &pb.CopyStep{Content: []byte("a text\n"), Destination: "/srv/text"}),
		copyFiles("4", &pb.CopyStep{FromStage: &stage, Sources: []string{"opt/result"}, Destination: "/opt/result"}),
	)
	compile := func(command string) *pb.BuildStage {
		return &pb.BuildStage{Name: "compile", Base: &pb.BuildStage_BuildId{BuildId: b.agent.build}, Steps: []*pb.BuildStep{
			{Name: "5", Text: "RUN " + command, Kind: &pb.BuildStep_Run{Run: &pb.RunStep{Command: command, User: "root"}}},
		}}
	}
	last := request.Stages[0]
	request.Stages = []*pb.BuildStage{compile("mkdir /opt/result && echo made > /opt/result/file && ln -s file /opt/result/link"), last}
	first := b.build(t, request)
	made := b.sandbox(t, first, nil)
	require.Equal(t, "hello\nuser 640", b.agent.run(t, made, "python3 code/main.py; stat -c '%U %a' code/lib/util.py"))
	require.Equal(t, "root 600\na text\nmade\nfile", b.agent.run(t, made, "stat -c '%U %a' /srv/notes.txt; cat /srv/text /opt/result/link; readlink /opt/result/link"))

	again := b.request()
	again.Stages = []*pb.BuildStage{compile("mkdir /opt/result && echo made > /opt/result/file && ln -s file /opt/result/link; date > /opt/elsewhere"), last}
	second := b.build(t, again)
	second.requireReady(t)
	require.False(t, second.steps["5"].Cached)
	require.True(t, second.steps["4"].Cached, "the other stage is another, but the files are the same")

	lost := b.build(t, b.request(copyFiles("1", &pb.CopyStep{FilesHash: missing, Sources: []string{"app"}, Destination: "code"})))
	failure := lost.requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_FILE_MISSING, "1")
	require.Contains(t, failure.Message, "were not uploaded")
	wrong := b.build(t, b.request(copyFiles("1", &pb.CopyStep{FilesHash: hash, Sources: []string{"other"}, Destination: "code"})))
	failure = wrong.requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_FILE_MISSING, "1")
	require.Contains(t, failure.Message, `"other" was not found in the uploaded files`)
}

func testBuildSecrets(t *testing.T, b *buildsUnderTest) {
	const value = "hunter2-of-this-test"
	command := &pb.RunStep{
		Command: "cat /run/secrets/key /home/user/.netrc; echo $KEY; test \"$(cat /run/secrets/key)\" = \"$KEY\" && stat -f -c %T /home/user/.netrc",
		Secrets: []*pb.SecretMount{{Id: "key"}, {Id: "key", Path: "/home/user/.netrc"}, {Id: "key", Variable: "KEY"}, {Id: "not-given"}},
	}
	request := b.request(&pb.BuildStep{Name: "1", Text: "RUN it", Kind: &pb.BuildStep_Run{Run: command}},
		run("2", "test ! -e /run/secrets/key && test ! -e .netrc && test -z \"$KEY\" && echo gone"))
	request.Secrets = map[string][]byte{"key": []byte(value)}
	done := b.build(t, request)
	done.requireReady(t)
	require.Contains(t, done.text(), "[stdout]: ***")
	require.Contains(t, done.text(), "[stdout]: tmpfs")
	require.Contains(t, done.text(), "[stdout]: gone")
	require.NotContains(t, done.text(), "hunter2")
	// Pages of ended processes are the guest's own: its memory is not looked into.
	search := exec.CommandContext(t.Context(), "grep", "-rlaF", "--exclude=memory", value, b.agent.file("storage", "layers", b.team), b.agent.file("storage", "snapshots"))
	found, err := search.Output()
	require.Empty(t, string(found))
	var none *exec.ExitError
	require.ErrorAs(t, err, &none)
	require.Equal(t, 1, none.ExitCode(), "grep found nothing, and could read all: %s", none.Stderr)
	request.BuildId = uuid.NewString()
	request.Secrets["key"] = []byte("other")
	request.Stages[0].Steps[0].GetRun().Secrets[0].Required = true
	delete(request.Secrets, "key")
	_, err = b.StartBuild(t.Context(), connect.NewRequest(request))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}

func testBuildFailures(t *testing.T, b *buildsUnderTest) {
	for name, test := range map[string]struct {
		step    *pb.BuildStep
		cause   pb.BuildFailureCause
		message string
	}{
		"memory":  {run("1", "python3 -c 'x = bytearray(3 << 30)'; python3 -c 'x = [bytearray(1 << 20) for _ in range(4000)]'"), pb.BuildFailureCause_BUILD_FAILURE_CAUSE_OUT_OF_MEMORY, "the build has 512 MiB"},
		"space":   {run("1", "fallocate -l 8G /home/user/full"), pb.BuildFailureCause_BUILD_FAILURE_CAUSE_NO_SPACE, "the disk of 4096 MiB is full"},
		"user":    {&pb.BuildStep{Name: "1", Text: "USER x", Kind: &pb.BuildStep_User{User: &pb.UserStep{Name: "nobody-at-all", MustExist: true}}}, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INVALID_STEP, `user "nobody-at-all": there is none`},
		"command": {&pb.BuildStep{Name: "1", Text: "RUN x", Line: 7, Kind: &pb.BuildStep_Run{Run: &pb.RunStep{Exec: []string{"/no/such/program"}}}}, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INVALID_STEP, "no such file"},
		"url":     {&pb.BuildStep{Name: "1", Text: "ADD x", Kind: &pb.BuildStep_AddUrl{AddUrl: &pb.AddURLStep{Url: "http://10.0.0.1/x", Destination: "/x"}}}, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INVALID_STEP, "download"},
	} {
		if name == "memory" && b.agent.hasLayers() {
			continue // the host ends the whole guest, as docs/drivers.md says
		}
		done := b.build(t, b.request(test.step))
		failure := done.requireFailure(t, test.cause, "1")
		require.Contains(t, failure.Message, test.message, name)
		require.Equal(t, test.step.Line, failure.Line)
		require.NotContains(t, done.text(), b.agent.config.DataDir, "nothing internal shows")
	}
	request := b.request()
	request.Stages[0].Base = &pb.BuildStage_BuildId{BuildId: uuid.NewString()}
	b.build(t, request).requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_BASE_NOT_FOUND, "base")
	ended := b.request()
	ended.StartCommand, ended.ReadyCommand = "echo broken; exit 4", "false"
	failure := b.build(t, ended).requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_COMMAND_FAILED, "finalize")
	require.Equal(t, int32(4), failure.ExitCode)
	require.Equal(t, []string{"broken"}, failure.LastLines)
}

func testBuildCancel(t *testing.T, b *buildsUnderTest) {
	request := b.request(run("1", "echo kept > kept"), run("2", "echo begun; sleep 600"))
	b.start(t, request)
	b.start(t, request) // once more changes nothing
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	stream, err := b.WatchBuild(ctx, connect.NewRequest(&pb.WatchBuildRequest{BuildId: request.BuildId}))
	require.NoError(t, err)
	defer stream.Close()
	for stream.Receive() && !strings.Contains(stream.Msg().GetEntry().GetText(), "begun") {
		require.Nil(t, stream.Msg().GetResult())
	}
	_, err = b.CancelBuild(ctx, connect.NewRequest(&pb.CancelBuildRequest{BuildId: request.BuildId}))
	require.NoError(t, err)
	require.Empty(t, virtualMachines(t, b.agent.config.DataDir))
	require.NoDirExists(t, b.agent.file("storage", "builds", request.BuildId))
	b.follow(t, request).requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_CANCELLED, "2")
	_, err = b.CancelBuild(ctx, connect.NewRequest(&pb.CancelBuildRequest{BuildId: uuid.NewString()}))
	require.NoError(t, err)
	unknown, err := b.WatchBuild(ctx, connect.NewRequest(&pb.WatchBuildRequest{BuildId: uuid.NewString()}))
	require.NoError(t, err)
	require.False(t, unknown.Receive())
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(unknown.Err()))

	request.Stages[0].Steps[1] = run("2", "cat kept")
	second := b.build(t, request)
	second.requireReady(t)
	require.True(t, second.steps["1"].Cached, "another attempt goes on from the layers of the first")
}
