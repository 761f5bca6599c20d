package hostagent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// imageRequest is a build of steps after an image.
func (b *buildsUnderTest) imageRequest(reference string, steps ...*pb.BuildStep) *pb.StartBuildRequest {
	request := b.request(steps...)
	request.DiskMib = 256
	request.Stages[0].Base = &pb.BuildStage_Image{Image: &pb.ImageSource{Reference: reference}}
	return request
}

func testBuildImages(t *testing.T, b *buildsUnderTest) {
	reference := b.registry.Push(t, "entrypoint:1", imagetest.Entrypoint(t))
	request := b.imageRequest(reference, run("1", "id -un; pwd; echo $GREETING; touch here; ls -ld here"))
	request.UseImageCommand, request.ReadyCommand = true, "test -f /srv/app/ran"
	first := b.build(t, request)
	first.requireReady(t)
	t.Log(first.text())
	require.Contains(t, first.text(), "[stdout]: app\n[builder 1/1] [stdout]: /srv/app\n[builder 1/1] [stdout]: hello world")
	require.True(t, strings.HasPrefix(first.result.ImageDigest, "sha256:"))
	made := b.sandbox(t, first, nil)
	// Its groups app and web have the same number.
	require.Equal(t, strings.Join([]string{"app", "app", "/srv/app", "hello world", "serve", "two words"}, "\n"), b.agent.run(t, made, "cat ran"))
	require.Equal(t, "1", b.agent.run(t, made, "ps | grep -c '[s]leep 1000000'"), "the image's command runs")

	again := b.imageRequest(reference, request.Stages[0].Steps...)
	again.UseImageCommand, again.ReadyCommand = true, request.ReadyCommand
	second := b.build(t, again)
	second.requireReady(t)
	require.Less(t, second.took, first.took/10)

	shell := b.imageRequest(b.registry.Push(t, "musl:1", imagetest.Musl(t)), run("1", "id -un; pwd; test -z \"$BASH_VERSION\" && echo plain"))
	require.Contains(t, b.requireBuilt(t, shell).text(), "[stdout]: user\n[builder 1/1] [stdout]: /home/user")
	shell = b.imageRequest(b.registry.Host+"/musl:1", run("1", "id -un; pwd"))
	shell.ImageDefaults = true
	require.Contains(t, b.requireBuilt(t, shell).text(), "[stdout]: root\n[builder 1/1] [stdout]: /\n")

	copied := b.request(&pb.BuildStep{Name: "1", Text: "COPY --from", Kind: &pb.BuildStep_Copy{Copy: &pb.CopyStep{
		FromImage: &pb.ImageSource{Reference: reference}, Sources: []string{"entrypoint"}, Destination: "/opt/",
	}}}, run("2", "head -n 1 /opt/entrypoint"))
	require.Contains(t, b.requireBuilt(t, copied).text(), "[stdout]: #!/bin/sh")

	missing := b.build(t, b.imageRequest(b.registry.Host+"/none:1"))
	missing.requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_NOT_FOUND, "base")
}

func testBuildScratch(t *testing.T, b *buildsUnderTest) {
	request := b.request(copyFiles("1", &pb.CopyStep{Content: []byte("#!/bin/sh\necho from nothing\n"), Destination: "/app", Mode: "755"}), run("2", "/app"))
	request.DiskMib = 256
	request.Stages[0].Base = &pb.BuildStage_Scratch{Scratch: true}
	done := b.requireBuilt(t, request)
	require.Contains(t, done.text(), "[stdout]: from nothing")
	require.Equal(t, "from nothing", b.agent.run(t, b.sandbox(t, done, nil), "/app"))
}

// requireBuilt is build of a template that is ready.
func (b *buildsUnderTest) requireBuilt(t *testing.T, request *pb.StartBuildRequest) built {
	t.Helper()
	done := b.build(t, request)
	done.requireReady(t)
	return done
}
