package hostagent

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

func addURL(name, url, destination string) *pb.BuildStep {
	return &pb.BuildStep{Name: name, Text: "ADD " + url + " " + destination, Kind: &pb.BuildStep_AddUrl{AddUrl: &pb.AddURLStep{Url: url, Destination: destination, Mode: "0644"}}}
}

// compressed is an archive of one file.
func compressed(t *testing.T, name string, compress func(io.Writer) (io.WriteCloser, error)) string {
	t.Helper()
	var content bytes.Buffer
	writer, err := compress(&content)
	require.NoError(t, err)
	archive := tar.NewWriter(writer)
	require.NoError(t, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(name))}))
	_, err = archive.Write([]byte(name))
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	require.NoError(t, writer.Close())
	return content.String()
}

// What a URL has decides whether its step runs again, and not how the URL is written.
func testBuildDownloads(t *testing.T, b *buildsUnderTest) {
	var version, sent atomic.Int32
	serveInternet(t, func(w http.ResponseWriter, r *http.Request) {
		number := int(version.Load())
		content := bytes.NewReader([]byte{'v', byte('0' + number)})
		if r.Header.Get("If-Modified-Since") == "" {
			sent.Add(1)
		}
		http.ServeContent(w, r, "tool", time.Date(2026, 1, 1+number, 0, 0, 0, 0, time.UTC), content)
	})
	hash := b.upload(t, map[string]string{
		"a.tar.xz":  compressed(t, "of-xz", func(to io.Writer) (io.WriteCloser, error) { return xz.NewWriter(to) }),
		"b.tar.zst": compressed(t, "of-zstd", func(to io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(to) }),
	})
	const giveList = `sudo python3 -c "import os; os.makedirs('/srv/listed'); os.setxattr('/srv/listed', 'system.posix_acl_default', bytes([2,0,0,0, 1,0,7,0,255,255,255,255, 2,0,7,0,0x92,0x10,0,0, 4,0,7,0,255,255,255,255, 0x10,0,7,0,255,255,255,255, 0x20,0,7,0,255,255,255,255]))"`
	wanted := func() *pb.StartBuildRequest {
		return b.request(
			copyFiles("1", &pb.CopyStep{FilesHash: hash, Sources: []string{"*"}, Destination: "/srv/unpacked/", Extract: true}),
			run("2", giveList),
			copyFiles("3", &pb.CopyStep{Content: []byte("x"), Destination: "/srv/listed/file", Mode: "0640"}),
			addURL("4", internetURL+"tool", "/srv/tool"),
			run("5", "cp /srv/tool /home/user/copy"),
		)
	}
	first := b.build(t, wanted())
	made := b.sandbox(t, first, nil)
	require.Equal(t, "of-xzof-zstd v0 644", b.agent.run(t, made, "echo $(cat /srv/unpacked/of-xz /srv/unpacked/of-zstd) $(cat copy) $(stat -c %a /srv/tool)"))
	require.Equal(t, "[] 640", b.agent.run(t, made, `python3 -c "import os; print(os.listxattr('/srv/listed/file'), oct(os.stat('/srv/listed/file').st_mode)[-3:])"`))
	require.EqualValues(t, 1, sent.Load())

	second := b.build(t, wanted())
	second.requireReady(t)
	require.True(t, second.steps["4"].Cached, "the server says that nothing has changed")
	require.True(t, second.steps["5"].Cached)
	require.EqualValues(t, 1, sent.Load(), "the file was not sent again")

	version.Store(1)
	third := b.build(t, wanted())
	require.False(t, third.steps["4"].Cached)
	require.Equal(t, "v1", b.agent.run(t, b.sandbox(t, third, nil), "cat copy"))

	version.Store(0)
	fourth := b.build(t, wanted())
	fourth.requireReady(t)
	require.True(t, fourth.steps["4"].Cached, "it has what it had once")
	require.True(t, fourth.steps["5"].Cached)
}

// USER name:group runs commands with that group alone, and leaves the account as it is.
func testBuildGroup(t *testing.T, b *buildsUnderTest) {
	const look = "echo $(id -un) $(id -gn) all: $(id -Gn), usually $(id -gn user), made $(stat -c %U:%G made)"
	request := b.request(user("1", "user:daemon"), run("2", "touch made && "+look), workdir("3", "/srv/of-group"))
	done := b.build(t, request)
	made := b.sandbox(t, done, nil)
	const want = "user daemon all: daemon, usually user, made user:daemon"
	require.Contains(t, done.text(), "[stdout]: "+want)
	require.Equal(t, want, b.agent.run(t, made, "cd /home/user; "+look))
	require.Equal(t, "user:daemon", b.agent.run(t, made, "stat -c %U:%G /srv/of-group"))
}
