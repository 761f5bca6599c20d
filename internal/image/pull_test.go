package image_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// asked is a registry that counts requests for layers and may spoil their answers.
type asked struct {
	*imagetest.Registry
	blobs atomic.Int32
	spoil atomic.Pointer[func(w http.ResponseWriter, request *http.Request, usual http.Handler)]
}

func serveAsked(t *testing.T) *asked {
	t.Helper()
	a := &asked{}
	a.Registry = imagetest.ServeHandler(t, func(usual http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if request.Method != http.MethodGet || !strings.Contains(request.URL.Path, "/blobs/") {
				usual.ServeHTTP(w, request)
				return
			}
			a.blobs.Add(1)
			if spoil := a.spoil.Load(); spoil != nil {
				(*spoil)(w, request, usual)
				return
			}
			usual.ServeHTTP(w, request)
		})
	})
	return a
}

// spoiled answers requests for layers otherwise, a number of times.
func (a *asked) spoiled(times int32, answer func(w http.ResponseWriter, request *http.Request, usual http.Handler)) {
	var done atomic.Int32
	spoil := func(w http.ResponseWriter, request *http.Request, usual http.Handler) {
		if done.Add(1) <= times {
			answer(w, request, usual)
			return
		}
		usual.ServeHTTP(w, request)
	}
	a.spoil.Store(&spoil)
}

// noise is content that cannot be packed.
func noise(t *testing.T, size int) string {
	t.Helper()
	content := make([]byte, size)
	_, err := rand.Read(content)
	require.NoError(t, err)
	return string(content)
}

func writeDisk(t *testing.T, store *image.Store, found *image.Image) error {
	t.Helper()
	target := filepath.Join(t.TempDir(), "disk")
	err := store.WriteDisk(t.Context(), found, target, image.DiskOptions{MiB: diskMiB})
	if err != nil {
		require.NoFileExists(t, target)
	}
	return err
}

func find(t *testing.T, store *image.Store, source image.Source) *image.Image {
	t.Helper()
	found, err := store.Resolve(t.Context(), source, image.DefaultPlatform)
	require.NoError(t, err)
	return found
}

func TestWriteDisk_PullsALayerOnceForAllImages(t *testing.T) {
	registry := serveAsked(t)
	shared := imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.File("shared", 0o644, "s")))
	own := imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.File("own", 0o644, "o")))
	one := registry.Push(t, "team/one:1", imagetest.Image(t, v1.Config{}, shared))
	two := registry.Push(t, "other/two:1", imagetest.Image(t, v1.Config{}, shared, own, shared))
	store := openStore(t, registry.Registry)
	first, second := find(t, store, image.Source{Reference: one}), find(t, store, image.Source{Reference: two})
	registry.blobs.Store(0)
	require.NoError(t, writeDisk(t, store, first))
	require.EqualValues(t, 1, registry.blobs.Load())
	require.NoError(t, writeDisk(t, store, second))
	require.EqualValues(t, 2, registry.blobs.Load())
}

func TestWriteDisk_MakesADiskOnceForAllWhoAskAtATime(t *testing.T) {
	registry := serveAsked(t)
	store := openStore(t, registry.Registry)
	found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", small(t, "x"))})
	registry.blobs.Store(0)
	var unpacked atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			err := store.WriteDisk(t.Context(), found, filepath.Join(t.TempDir(), "disk"), image.DiskOptions{MiB: diskMiB, Progress: func(p image.Progress) {
				if p.Stage == image.Unpacking && p.Bytes == p.TotalBytes {
					unpacked.Store(1)
				}
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, registry.blobs.Load())
	require.EqualValues(t, 1, unpacked.Load())
}

func TestWriteDisk_MakesTheSameDiskOfTheSameImage(t *testing.T) {
	registry := imagetest.Serve(t)
	reference := registry.Push(t, "team/app:1", small(t, noise(t, 100000)))
	var disks [2][]byte
	for i := range disks {
		disk, _, _ := makeDisk(t, openStore(t, registry), image.Source{Reference: reference})
		content, err := os.ReadFile(disk)
		require.NoError(t, err)
		disks[i] = content
	}
	require.True(t, bytes.Equal(disks[0], disks[1]))
}

// Who knows the digest of another's layer must not get its content from the cache.
func TestWriteDisk_KeepsWhatNeedsCredentialsToItsRepository(t *testing.T) {
	private, public := imagetest.ServePrivate(t, "user", "password"), serveAsked(t)
	secret := imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.File("secret", 0o600, "theirs")))
	theirs := private.Push(t, "team/app:1", imagetest.Image(t, v1.Config{}, secret))
	store := openStore(t, private, public.Registry)
	credentials := image.Basic{Username: "user", Password: "password"}
	require.NoError(t, writeDisk(t, store, find(t, store, image.Source{Reference: theirs, Credentials: credentials})))

	// The thief's registry has the manifest but not the layer.
	stolen := public.Push(t, "thief/app:1", imagetest.Image(t, v1.Config{}, secret))
	missing := func(w http.ResponseWriter, request *http.Request, usual http.Handler) {
		digest, err := secret.Digest()
		if err == nil && strings.HasSuffix(request.URL.Path, digest.String()) {
			http.NotFound(w, request)
			return
		}
		usual.ServeHTTP(w, request)
	}
	public.spoiled(100, missing)
	for _, source := range []image.Source{{Reference: stolen}, {Reference: stolen, Credentials: credentials}} {
		refusal(t, writeDisk(t, store, find(t, store, source)), image.Invalid, "does not have all layers")
	}
	again := find(t, store, image.Source{Reference: theirs, Credentials: credentials})
	require.NoError(t, writeDisk(t, store, again))
}

func TestWriteDisk_PullsALayerAgainWhenTheConnectionEnds(t *testing.T) {
	registry := serveAsked(t)
	store := openStore(t, registry.Registry)
	found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", small(t, noise(t, 200000)))})
	cut := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Length", "200000")
		_, _ = w.Write(make([]byte, 1000))
		panic(http.ErrAbortHandler)
	}
	registry.spoiled(2, cut)
	require.NoError(t, writeDisk(t, store, found))

	second := find(t, store, image.Source{Reference: registry.Push(t, "team/app:2", small(t, noise(t, 1000)))})
	registry.spoiled(100, cut)
	refusal(t, writeDisk(t, store, second), image.RegistryUnreachable, "cannot be reached")
}

func TestWriteDisk_RefusesAnotherContentThanTheDigestSays(t *testing.T) {
	registry := serveAsked(t)
	store := openStore(t, registry.Registry)
	found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", small(t, noise(t, 5000)))})
	for name, answer := range map[string]func(w http.ResponseWriter, content []byte){
		"changed": func(w http.ResponseWriter, content []byte) { content[100] ^= 1; _, _ = w.Write(content) },
		"short":   func(w http.ResponseWriter, content []byte) { _, _ = w.Write(content[:1000]) },
		"empty":   func(http.ResponseWriter, []byte) {},
		"long": func(w http.ResponseWriter, content []byte) {
			_, _ = w.Write(content)
			for range 100 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		registry.spoiled(100, func(w http.ResponseWriter, request *http.Request, usual http.Handler) {
			recorded := &recorder{header: http.Header{}}
			usual.ServeHTTP(recorded, request)
			answer(w, recorded.body.Bytes())
		})
		err := writeDisk(t, store, found)
		refusal(t, err, image.Invalid, "another content for layer 1")
		t.Log(name, err)
	}
	registry.spoil.Store(nil)
	require.NoError(t, writeDisk(t, store, found), "nothing wrong was kept")
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header               { return r.header }
func (r *recorder) WriteHeader(int)                   {}
func (r *recorder) Write(content []byte) (int, error) { return r.body.Write(content) }

func TestWriteDisk_PullsLayersAgainThatWereDamagedOnDisk(t *testing.T) {
	registry := serveAsked(t)
	config := image.StoreConfig{BlobDir: t.TempDir(), DiskDir: t.TempDir(), BlobBytes: 1 << 30, Registries: image.Registries{Insecure: []string{registry.Host}}, Log: slog.New(slog.DiscardHandler)}
	store, err := image.Open(config)
	require.NoError(t, err)
	found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", small(t, noise(t, 50000)))})
	require.NoError(t, writeDisk(t, store, found))
	entries, err := os.ReadDir(config.BlobDir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	path := filepath.Join(config.BlobDir, entries[0].Name())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[2000] ^= 1
	require.NoError(t, os.WriteFile(path, content, 0o600))
	other := image.DiskOptions{MiB: diskMiB * 2} // which is not cached
	require.NoError(t, store.WriteDisk(t.Context(), found, filepath.Join(t.TempDir(), "disk"), other))
}

func TestWriteDisk_SaysThatTheDiskIsTooSmall(t *testing.T) {
	registry := imagetest.Serve(t)
	store := openStore(t, registry)
	large := find(t, store, image.Source{Reference: registry.Push(t, "team/large:1", small(t, noise(t, 130<<20)))})
	refusal(t, writeDisk(t, store, large), image.NoSpace, "do not fit on the template's disk of 128 MiB", "larger disk")
	var files []imagetest.Entry
	for i := range 9000 {
		files = append(files, imagetest.File(strings.Repeat("x", i%200+1)+string(rune('a'+i/200)), 0o644, ""))
	}
	many := imagetest.Image(t, v1.Config{}, imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, files...)))
	refusal(t, writeDisk(t, store, find(t, store, image.Source{Reference: registry.Push(t, "team/many:1", many)})), image.NoSpace, "more files than a disk of 128 MiB can hold")
}

func TestWriteDisk_SaysWhichRuleAnImageBreaks(t *testing.T) {
	registry := imagetest.Serve(t)
	store := openStore(t, registry)
	outside := imagetest.Image(t, v1.Config{}, imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.File("../../etc/cron.d/x", 0o644, "evil"))))
	refusal(t, writeDisk(t, store, find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", outside)})),
		image.Invalid, "cannot be used", `"../../etc/cron.d/x" leads out of its directory`)
}

func TestWriteDisk_EndsWithItsContext(t *testing.T) {
	registry := serveAsked(t)
	store := openStore(t, registry.Registry)
	found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", small(t, noise(t, 1000)))})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	registry.spoiled(1, func(_ http.ResponseWriter, request *http.Request, _ http.Handler) {
		cancel()
		<-request.Context().Done()
	})
	require.ErrorIs(t, store.WriteDisk(ctx, found, filepath.Join(t.TempDir(), "disk"), image.DiskOptions{MiB: diskMiB}), ctx.Err())
	require.NoError(t, writeDisk(t, store, found), "what was left does not disturb")
}

func TestStore_KeepsToItsBoundsAndRemovesWhatWasLeftUnfinished(t *testing.T) {
	registry := imagetest.Serve(t)
	config := image.StoreConfig{
		BlobDir: t.TempDir(), DiskDir: t.TempDir(), BlobBytes: 700 << 10, DiskBytes: 0,
		Registries: image.Registries{Insecure: []string{registry.Host}}, Log: slog.New(slog.DiscardHandler),
	}
	left := filepath.Join(config.BlobDir, ".new-sha256-left")
	require.NoError(t, os.WriteFile(left, []byte("x"), 0o600))
	store, err := image.Open(config)
	require.NoError(t, err)
	require.NoFileExists(t, left)
	var names []string
	for i := range 4 {
		found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:"+string(rune('a'+i)), small(t, noise(t, 300<<10)))})
		require.NoError(t, writeDisk(t, store, found))
		names = append(names, strings.ReplaceAll(found.Layers[0].Digest, ":", "-"))
	}
	entries, err := os.ReadDir(config.BlobDir)
	require.NoError(t, err)
	var kept []string
	for _, entry := range entries {
		kept = append(kept, entry.Name())
	}
	require.ElementsMatch(t, names[2:], kept, "those that were used last")
	disks, err := os.ReadDir(config.DiskDir)
	require.NoError(t, err)
	require.LessOrEqual(t, len(disks), 1)
}

func TestWriteDisk_KeepsRoomFreeOnTheHost(t *testing.T) {
	registry := imagetest.Serve(t)
	config := image.StoreConfig{
		BlobDir: t.TempDir(), DiskDir: t.TempDir(), BlobBytes: 1 << 30, DiskBytes: 1 << 30, ReserveBytes: 1 << 60,
		Registries: image.Registries{Insecure: []string{registry.Host}}, Log: slog.New(slog.DiscardHandler),
	}
	store, err := image.Open(config)
	require.NoError(t, err)
	found := find(t, store, image.Source{Reference: registry.Push(t, "team/app:1", small(t, "x"))})
	refusal(t, writeDisk(t, store, found), image.NoSpace, "has no room for the image")

	// Layers that are there need no more room, but their disk does.
	config.ReserveBytes = 0
	store, err = image.Open(config)
	require.NoError(t, err)
	require.NoError(t, writeDisk(t, store, found))
	config.ReserveBytes, config.DiskDir = 1<<60, t.TempDir()
	store, err = image.Open(config)
	require.NoError(t, err)
	refusal(t, writeDisk(t, store, found), image.NoSpace, "has no room for the image")
	left, err := os.ReadDir(config.DiskDir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestWriteEmptyDisk_IsEmpty(t *testing.T) {
	store, target := openStore(t), filepath.Join(t.TempDir(), "disk")
	require.NoError(t, store.WriteEmptyDisk(t.Context(), target, image.DiskOptions{MiB: diskMiB}))
	info, err := os.Stat(target)
	require.NoError(t, err)
	require.EqualValues(t, diskMiB<<20, info.Size())
	require.ErrorIs(t, store.WriteEmptyDisk(t.Context(), target, image.DiskOptions{MiB: diskMiB}), os.ErrExist)
}
