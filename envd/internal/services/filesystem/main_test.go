package filesystem

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/gen/filesystem/filesystemconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// world is a service behind a real server, and a directory that every user can
// reach. Relative paths start there.
type world struct {
	filesystemconnect.FilesystemClient
	service   *Service
	directory string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	require.Zero(t, os.Geteuid(), "these tests act as several users, so they must run as root")
	directory := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(directory), 0o755))

	known := settings.New()
	known.Apply(settings.Update{User: "root", Workdir: directory})
	service := New(known, slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.Handle(filesystemconnect.NewFilesystemHandler(service))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(service.Close)
	client := server.Client()
	t.Cleanup(client.CloseIdleConnections)
	return &world{filesystemconnect.NewFilesystemClient(client, server.URL), service, directory}
}

func (w *world) path(elements ...string) string {
	return filepath.Join(append([]string{w.directory}, elements...)...)
}

// as makes a request in a user's name.
func as[T any](user string, message *T) *connect.Request[T] {
	request := connect.NewRequest(message)
	request.Header().Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":")))
	return request
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func makeDirectory(t *testing.T, path string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(path, 0o755))
	return path
}

func requireCode(t *testing.T, want connect.Code, message string, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want.String(), connect.CodeOf(err).String(), err.Error())
	require.Contains(t, err.Error(), message)
}

// stream is what a client of WatchDir sees.
type stream struct {
	*connect.ServerStreamForClient[pb.WatchDirResponse]
	directory string
	leave     context.CancelFunc
	markers   int
}

func (w *world) watch(t *testing.T, request *connect.Request[pb.WatchDirRequest]) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	opened, err := w.WatchDir(ctx, request)
	require.NoError(t, err)
	s := &stream{ServerStreamForClient: opened, directory: request.Msg.GetPath(), leave: cancel}
	t.Cleanup(func() { cancel(); _ = opened.Close() })
	require.True(t, s.Receive(), "no start: %v", s.Err())
	require.NotNil(t, s.Msg().GetStart(), "the first message says that the watch has begun")
	return s
}

// next is the next change; nil when the stream has ended.
func (s *stream) next() *pb.FilesystemEvent {
	for s.Receive() {
		if event := s.Msg().GetFilesystem(); event != nil {
			return event
		}
	}
	return nil
}

// changes are the events up to now, as "CREATE name".
func (s *stream) changes(t *testing.T) []string {
	t.Helper()
	s.markers++
	marker := strings.Repeat("m", s.markers) + ".marker"
	require.NoError(t, os.Mkdir(filepath.Join(s.directory, marker), 0o755))
	told := []string{}
	for {
		event := s.next()
		require.NotNil(t, event, "the stream ended: %v, after %v", s.Err(), told)
		if event.GetName() == marker {
			return told
		}
		if !strings.Contains(event.GetName(), ".marker") {
			told = append(told, spell(event))
		}
	}
}

func spell(event *pb.FilesystemEvent) string {
	return strings.TrimPrefix(event.GetType().String(), "EVENT_TYPE_") + " " + event.GetName()
}

// openInotifies counts the inotify instances of this process.
func openInotifies(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	count := 0
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.Contains(target, "inotify") {
			count++
		}
	}
	return count
}

func countLines(text, prefix string) int {
	count := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			count++
		}
	}
	return count
}
