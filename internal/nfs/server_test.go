package nfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

// served is a server over real directories, and a client's connection to it.
type served struct {
	*Server
	address     string
	directories map[string]string
	conn        net.Conn
	full        *atomic.Bool // no room
	logged      *lines
}

// lines are those of a log.
type lines struct {
	mutex sync.Mutex
	all   []string
}

func (l *lines) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.all = append(l.all, string(line))
	return len(line), nil
}

func (l *lines) get() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return slices.Clone(l.all)
}

func serve(t *testing.T, directories map[string]string) *served {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("opening files by handle needs root")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	full, logged := new(atomic.Bool), new(lines)
	room := func(int64) error {
		if full.Load() {
			return fmt.Errorf("full: %w", unix.ENOSPC)
		}
		return nil
	}
	var exports []Export
	for name, directory := range directories {
		require.NoError(t, os.Chmod(directory, 0o777))
		exports = append(exports, Export{Name: name, Directory: directory, Key: bytes.Repeat([]byte(name[:1]), 32), Room: room})
	}
	s, err := Serve(listener, exports, slog.New(slog.NewTextHandler(logged, nil)))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	client := &served{Server: s, address: listener.Addr().String(), directories: directories, full: full, logged: logged}
	client.dial(t)
	return client
}

func (s *served) dial(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	s.conn = conn
}

// one is a user of a guest.
var one = caller{uid: 1000, gid: 1000}

// call sends a call and returns what comes behind the answer's header.
func (s *served) call(t *testing.T, who caller, program, number uint32, arguments func(*writer)) *reader {
	t.Helper()
	credential := &writer{}
	credential.uint32(0)
	credential.opaque([]byte("guest"))
	credential.uint32(who.uid)
	credential.uint32(who.gid)
	credential.uint32(0)
	w := &writer{}
	id := rand.Uint32()
	for _, word := range []uint32{id, messageCall, rpcVersion, program, servedVersion, number, authSys} {
		w.uint32(word)
	}
	w.opaque(credential.buffer)
	w.uint64(0)
	arguments(w)
	require.NoError(t, writeRecord(s.conn, w))
	return s.receive(t, id)
}

func (s *served) receive(t *testing.T, id uint32) *reader {
	t.Helper()
	var header [4]byte
	_, err := io.ReadFull(s.conn, header[:])
	require.NoError(t, err)
	message := make([]byte, binary.BigEndian.Uint32(header[:])&^lastFragment)
	_, err = io.ReadFull(s.conn, message)
	require.NoError(t, err)
	r := &reader{rest: message}
	require.Equal(t, []uint32{id, messageReply, replyAccepted}, []uint32{r.uint32(), r.uint32(), r.uint32()})
	r.uint64()
	require.Equal(t, uint32(acceptSuccess), r.uint32(), "the call was not accepted")
	return r
}

func (s *served) file(t *testing.T, who caller, number uint32, arguments func(*writer)) (status, *reader) {
	t.Helper()
	r := s.call(t, who, nfsProgram, number, arguments)
	return status(r.uint32()), r
}

func (s *served) mountNamed(t *testing.T, name string) []byte {
	t.Helper()
	r := s.call(t, one, mountProgram, numberOfMount, func(w *writer) { w.opaque([]byte("/" + name)) })
	require.Equal(t, uint32(errNone), r.uint32())
	return bytes.Clone(r.opaque(maxHandle))
}

func (s *served) lookUp(t *testing.T, who caller, directory []byte, name string) ([]byte, status) {
	t.Helper()
	result, r := s.file(t, who, 3, func(w *writer) { w.opaque(directory); w.opaque([]byte(name)) })
	if result != errNone {
		return nil, result
	}
	return bytes.Clone(r.opaque(maxHandle)), errNone
}

func (s *served) read(t *testing.T, who caller, handle []byte) (string, status) {
	t.Helper()
	result, r := s.file(t, who, 6, func(w *writer) { w.opaque(handle); w.uint64(0); w.uint32(1000) })
	if result != errNone {
		return "", result
	}
	r.take(4 + 84 + 8)
	return string(r.opaque(1000)), errNone
}

func TestServer_ServesItsExportsAndNothingBesides(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir(), "b": t.TempDir()})
	require.NoError(t, os.WriteFile(filepath.Join(s.directories["a"], "file"), []byte("content"), 0o644))
	root := s.mountNamed(t, "a")
	handle, result := s.lookUp(t, one, root, "file")
	require.Equal(t, errNone, result)
	content, result := s.read(t, one, handle)
	require.Equal(t, "content", content, result)

	for _, name := range []string{"..", ".", "", "../b/x", "/etc/passwd", "a\x00b", "file/x", strings.Repeat("x", 256)} {
		_, result := s.lookUp(t, caller{}, root, name)
		require.Contains(t, []status{errInvalid, errNameTooLong}, result, "%q", name)
	}
	for _, name := range []string{"c", "", "..", "a/..", "etc"} {
		r := s.call(t, one, mountProgram, numberOfMount, func(w *writer) { w.opaque([]byte("/" + name)) })
		require.Equal(t, uint32(errNotFound), r.uint32(), "%q", name)
	}
}

// A handle of the kernel's own would open any file of the disk.
func TestServer_OpensOnlyHandlesThatItHasMade(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o644))
	s := serve(t, map[string]string{"a": t.TempDir(), "b": t.TempDir()})
	root := s.mountNamed(t, "a")
	stolen, _, err := unix.NameToHandleAt(unix.AT_FDCWD, secret, 0)
	require.NoError(t, err)
	forged := append(append(bytes.Clone(root[:handleHeader-4]), binary.BigEndian.AppendUint32(nil, uint32(stolen.Type()))...), stolen.Bytes()...)
	of := func(handle []byte) status {
		result, _ := s.file(t, caller{}, 1, func(w *writer) { w.opaque(handle) })
		return result
	}
	require.Equal(t, errNone, of(root))
	require.Equal(t, errBadHandle, of(forged))
	for i := range root {
		changed := bytes.Clone(root)
		changed[i] ^= 1
		require.NotEqual(t, errNone, of(changed), "byte %d", i)
	}
	for length := range root {
		require.NotEqual(t, errNone, of(root[:length]))
	}
	other := bytes.Clone(root)
	copy(other[1:1+exportSize], s.mountNamed(t, "b")[1:])
	require.Equal(t, errBadHandle, of(other))
}

func TestServer_FollowsNoLink(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o666))
	s := serve(t, map[string]string{"a": t.TempDir()})
	root := s.mountNamed(t, "a")
	result, _ := s.file(t, one, 10, func(w *writer) {
		w.opaque(root)
		w.opaque([]byte("out"))
		w.buffer = append(w.buffer, make([]byte, 24)...)
		w.opaque([]byte(outside))
	})
	require.Equal(t, errNone, result)
	handle, result := s.lookUp(t, one, root, "out")
	require.Equal(t, errNone, result)
	_, result = s.lookUp(t, caller{}, handle, "secret")
	require.Equal(t, errNotDirectory, result)
	_, result = s.read(t, caller{}, handle)
	require.Equal(t, errInvalid, result)
	result, _ = s.file(t, caller{}, 2, func(w *writer) { // chmod of what it leads to
		w.opaque(handle)
		w.uint32(1)
		w.uint32(0o600)
		w.buffer = append(w.buffer, make([]byte, 24)...)
	})
	require.Equal(t, errNone, result)
	info, err := os.Stat(outside)
	require.NoError(t, err)
	require.NotEqual(t, os.FileMode(0o600), info.Mode().Perm())
}

// A directory is swapped for a link as fast as can be, while a client goes by it.
func TestServer_IsNotLedOutByAChangeMeanwhile(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), []byte("secret"), 0o666))
	s := serve(t, map[string]string{"a": t.TempDir()})
	inside := s.directories["a"]
	require.NoError(t, os.Mkdir(filepath.Join(inside, "d"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(inside, "d", "file"), []byte("mine"), 0o666))
	require.NoError(t, os.Symlink(outside, filepath.Join(inside, "l")))
	stop, swapped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(swapped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(inside, "d"), unix.AT_FDCWD, filepath.Join(inside, "l"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-swapped }()
	root := s.mountNamed(t, "a")
	seen := map[string]int{}
	for range 500 {
		directory, result := s.lookUp(t, one, root, "d")
		require.Equal(t, errNone, result)
		if file, result := s.lookUp(t, one, directory, "file"); result == errNone {
			content, _ := s.read(t, one, file)
			seen[content]++
		}
	}
	require.Zero(t, seen["secret"])
}

func TestServer_KeepsUsersApart(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir()})
	root := s.mountNamed(t, "a")
	create := func(who caller, directory []byte, name string, mode uint32) status {
		result, _ := s.file(t, who, 8, func(w *writer) {
			w.opaque(directory)
			w.opaque([]byte(name))
			w.uint32(createUnchecked)
			w.uint32(1)
			w.uint32(mode)
			w.buffer = append(w.buffer, make([]byte, 20)...)
		})
		return result
	}
	require.Equal(t, errNone, create(one, root, "mine", 0o4600))
	info, err := os.Stat(filepath.Join(s.directories["a"], "mine"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode(), "without setuid")
	handle, _ := s.lookUp(t, one, root, "mine")
	two := caller{uid: 1001, gid: 1001}
	_, result := s.read(t, two, handle)
	require.Equal(t, errAccess, result)
	for _, who := range []caller{one, {}} {
		_, result := s.read(t, who, handle)
		require.Equal(t, errNone, result)
	}
	require.NoError(t, os.Chmod(s.directories["a"], 0o755))
	require.Equal(t, errAccess, create(two, root, "x", 0o600))
	result, _ = s.file(t, two, 12, func(w *writer) { w.opaque(root); w.opaque([]byte("mine")) })
	require.Equal(t, errAccess, result)
	require.NoError(t, os.Chmod(s.directories["a"], 0o777|os.ModeSticky))
	result, _ = s.file(t, two, 12, func(w *writer) { w.opaque(root); w.opaque([]byte("mine")) })
	require.Equal(t, errPermission, result)
	result, _ = s.file(t, one, 12, func(w *writer) { w.opaque(root); w.opaque([]byte("mine")) })
	require.Equal(t, errNone, result)
}

func TestServer_SaysWhenThereIsNoRoom(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir()})
	root := s.mountNamed(t, "a")
	require.NoError(t, os.WriteFile(filepath.Join(s.directories["a"], "file"), nil, 0o666))
	handle, _ := s.lookUp(t, caller{}, root, "file")
	s.full.Store(true)
	result, _ := s.file(t, caller{}, 7, func(w *writer) {
		w.opaque(handle)
		w.uint64(0)
		w.uint64(0)
		w.opaque([]byte("x"))
	})
	require.Equal(t, errNoSpace, result)
}

// A list in several parts is complete, for any size of directory.
func TestServer_ListsDirectoriesInParts(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir()})
	root := s.mountNamed(t, "a")
	want := map[string]bool{".": true, "..": true}
	for i := range 500 {
		name := fmt.Sprintf("%03d-%s", i, strings.Repeat("n", i%200))
		want[name] = true
		require.NoError(t, os.WriteFile(filepath.Join(s.directories["a"], name), nil, 0o600))
	}
	for _, bound := range []uint32{1024, 4096, 1 << 31} {
		got := map[string]bool{}
		cookie, ended := uint64(0), false
		for !ended {
			result, r := s.file(t, one, 16, func(w *writer) { w.opaque(root); w.uint64(cookie); w.uint64(0); w.uint32(bound) })
			require.Equal(t, errNone, result)
			require.LessOrEqual(t, len(r.rest), maxList)
			r.take(4 + 84 + 8)
			for r.bool() {
				r.uint64()
				name := string(r.opaque(maxName))
				require.False(t, got[name], "%s comes twice", name)
				got[name], cookie = true, r.uint64()
			}
			ended = r.bool()
			require.False(t, r.bad)
		}
		require.Equal(t, want, got)
	}
}

func TestServer_OutlivesARestart(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s := serve(t, map[string]string{"a": directory})
	require.NoError(t, os.WriteFile(filepath.Join(directory, "file"), []byte("content"), 0o644))
	handle, _ := s.lookUp(t, one, s.mountNamed(t, "a"), "file")
	s.Close()
	again := serve(t, map[string]string{"a": directory})
	require.NoError(t, os.Rename(filepath.Join(directory, "file"), filepath.Join(directory, "renamed")))
	content, result := again.read(t, one, handle)
	require.Equal(t, "content", content, result)
	require.NoError(t, os.Remove(filepath.Join(directory, "renamed")))
	_, result = again.read(t, one, handle)
	require.Equal(t, errStale, result)
}

// A malformed message ends at most the connection.
func TestServer_BearsNonsense(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir()})
	root := s.mountNamed(t, "a")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // nonsense
	for round := range 2000 {
		content := make([]byte, random.IntN(200))
		for i := range content {
			content[i] = byte(random.Uint32() >> (random.IntN(3) * 8))
		}
		w := &writer{}
		number := uint32(round % 24)
		for _, word := range []uint32{uint32(round), messageCall, rpcVersion, nfsProgram, servedVersion, number, 0, 0, 0, 0} {
			w.uint32(word)
		}
		if round%3 > 0 {
			w.opaque(root)
		}
		w.buffer = append(w.buffer, content...)
		require.NotNil(t, s.answer(w.buffer))
		_ = s.answer(content)
	}
	for _, header := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff}} {
		s.dial(t)
		_, err := s.conn.Write(header)
		require.NoError(t, err)
		_, err = s.conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	s.dial(t)
	require.Equal(t, root, s.mountNamed(t, "a"))
	logged := s.logged.get()
	require.NotEmpty(t, logged, "it is logged")
	require.Less(t, len(logged), 5, "but once of each kind: %s", logged)
}

func TestServer_WorksOnSoManyCallsOfAllConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir()})
	for range parallelism {
		s.running <- struct{}{}
	}
	const busy = 50 * time.Millisecond
	began := time.Now()
	time.AfterFunc(busy, func() { <-s.running })
	require.NotEmpty(t, s.mountNamed(t, "a"))
	require.GreaterOrEqual(t, time.Since(began), busy)
	for range parallelism - 1 {
		<-s.running
	}
}

func TestServer_HasABoundedNumberOfConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"a": t.TempDir()})
	const more = 3 * maxConnections
	refused := make(chan error, more)
	for range more {
		conn, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		var reading sync.WaitGroup
		t.Cleanup(func() {
			_ = conn.Close()
			reading.Wait()
		})
		reading.Go(func() {
			_, err := conn.Read(make([]byte, 1))
			refused <- err
		})
	}
	for range more + 1 - maxConnections {
		select {
		case err := <-refused:
			require.NotErrorIs(t, err, net.ErrClosed)
		case <-time.After(time.Minute):
			require.Fail(t, "too many connections are served")
		}
	}
	require.NotEmpty(t, s.mountNamed(t, "a"), "the first goes on")
}

func FuzzAnswer(f *testing.F) {
	w := &writer{}
	for _, word := range []uint32{1, messageCall, rpcVersion, nfsProgram, servedVersion, 17, 0, 0, 0, 0} {
		w.uint32(word)
	}
	f.Add(w.buffer)
	s := &Server{byName: map[string]*Export{}, byNumber: map[[exportSize]byte]*Export{}, notices: notice.New(slog.New(slog.DiscardHandler)), log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(_ *testing.T, message []byte) { s.answer(message) })
}
