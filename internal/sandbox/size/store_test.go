package size

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

var qemu = vmm.Maker{Driver: "qemu", Accelerator: "tcg", Version: "7"}

// still is a machine that never ran: the host agent's tests have real ones.
type still struct{ vmm.Machine }

func (still) Maker() vmm.Maker { return qemu }
func (still) Snapshot(_ context.Context, into vmm.State) error {
	return os.WriteFile(into.DevicesPath, []byte("devices"), 0o600)
}

// host is a host with builds, whose sizes are files of their size.
type host struct {
	directory string
	config    Config

	mutex  sync.Mutex
	builds []*snapshot.Snapshot

	made atomic.Int32
	// before is called before a size is made; its error fails that.
	before func(ctx context.Context) error
}

func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	storage, err := disk.OpenStorage(t.Context(), t.TempDir(), func(string) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	h := &host{directory: storage.Dir, before: func(context.Context) error { return nil }}
	h.config = Config{
		Directory: filepath.Join(storage.Dir, "sizes"), Builds: h, Maker: h, VMM: qemu, AtOnce: 2, MaxBytes: 1 << 30, Unused: time.Hour,
		Log: slog.New(slog.DiscardHandler),
	}
	return h
}

func (h *host) All() []*snapshot.Snapshot {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.builds
}

func (h *host) Find(buildID string) (*snapshot.Snapshot, error) {
	for _, build := range h.All() {
		if build.BuildID == buildID {
			return build, nil
		}
	}
	return nil, errors.New("not found")
}

// build makes a build of 1 vCPU, 1 MiB and 1 MiB.
func (h *host) build(t *testing.T, buildID string) *snapshot.Snapshot {
	t.Helper()
	made, err := h.take(t.Context(), snapshot.Manifest{BuildID: buildID, VCPUCount: 1, MemoryMiB: 1, DiskMiB: 1}, filepath.Join(h.directory, buildID))
	require.NoError(t, err)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.builds = append(h.builds, made)
	return made
}

func (h *host) take(ctx context.Context, manifest snapshot.Manifest, directory string) (*snapshot.Snapshot, error) {
	source := snapshot.Source{Machine: still{}, MemoryPath: directory + ".memory", DiskPath: directory + ".disk"}
	if err := os.WriteFile(source.MemoryPath, make([]byte, manifest.MemoryMiB<<20), 0o600); err != nil {
		return nil, err
	}
	if err := disk.CreateSparse(source.DiskPath, int64(manifest.DiskMiB)<<20); err != nil {
		return nil, err
	}
	made, err := snapshot.Take(ctx, source, manifest, directory)
	return made, errors.Join(err, os.Remove(source.MemoryPath), os.Remove(source.DiskPath))
}

// Make makes the host the Maker of its store.
func (h *host) Make(ctx context.Context, wanted Wanted) (*snapshot.Snapshot, error) {
	h.made.Add(1)
	wanted.Told("made")
	if err := h.before(ctx); err != nil {
		return nil, err
	}
	return h.take(ctx, snapshot.Manifest{
		BuildID: wanted.Base.BuildID, VCPUCount: wanted.Size.VCPUCount, MemoryMiB: wanted.Size.MemoryMiB, DiskMiB: wanted.Size.DiskMiB,
	}, wanted.Directory)
}

func (h *host) open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(h.config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func quiet(string) {}

// use makes a size be there, unused.
func use(t *testing.T, s *Store, base *snapshot.Snapshot, size admission.Size) *snapshot.Snapshot {
	t.Helper()
	made, release, err := s.use(t.Context(), base, size, quiet)
	require.NoError(t, err)
	release()
	return made
}

func TestFind_MakesASizeOnceForAllWhoWait(t *testing.T) {
	h := newHost(t)
	base := h.build(t, "build")
	began, goOn := make(chan struct{}), make(chan struct{})
	h.before = func(context.Context) error {
		if h.made.Load() == 1 {
			close(began)
		}
		<-goOn
		return nil
	}
	s := h.open(t)
	want := admission.Size{VCPUCount: 2, MemoryMiB: 3, DiskMiB: 4}

	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := s.use(ctx, base, want, quiet)
		left <- err
	}()
	<-began
	leave()
	require.ErrorIs(t, <-left, context.Canceled, "a create that ends does not wait")

	var waiting sync.WaitGroup
	var texts atomic.Int32
	for range 5 {
		waiting.Go(func() {
			made, release, err := s.use(t.Context(), base, want, func(string) { texts.Add(1) })
			if err != nil || made.MemoryMiB != 3 {
				t.Errorf("the size is %+v: %v", made, err)
				return
			}
			release()
		})
	}
	require.Eventually(t, func() bool { return texts.Load() >= 10 }, 10*time.Second, time.Millisecond, "all hear what is done")
	close(goOn)
	waiting.Wait()
	require.EqualValues(t, 1, h.made.Load())
	use(t, s, base, want)
	require.EqualValues(t, 1, h.made.Load())
	use(t, s, base, admission.Size{VCPUCount: 2, MemoryMiB: 3, DiskMiB: 5})
	require.EqualValues(t, 2, h.made.Load())
}

func TestFind_TellsAllWhyASizeWasNotMade(t *testing.T) {
	h := newHost(t)
	base := h.build(t, "build")
	cause := errors.New("it did not boot")
	h.before = func(context.Context) error { return cause }
	s := h.open(t)
	want := admission.Size{VCPUCount: 1, MemoryMiB: 2, DiskMiB: 1}
	_, _, err := s.use(t.Context(), base, want, quiet)
	require.ErrorIs(t, err, cause)
	h.before = func(context.Context) error { return nil }
	use(t, s, base, want)
}

func TestClose_EndsWhatIsBeingMade(t *testing.T) {
	h := newHost(t)
	base := h.build(t, "build")
	began := make(chan struct{})
	h.before = func(ctx context.Context) error { close(began); <-ctx.Done(); return ctx.Err() }
	s, err := Open(h.config)
	require.NoError(t, err)
	ended := make(chan error)
	go func() {
		_, _, err := s.use(context.Background(), base, admission.Size{VCPUCount: 1, MemoryMiB: 2, DiskMiB: 1}, quiet)
		ended <- err
	}()
	<-began
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-ended, ErrClosed)
	_, _, err = s.use(t.Context(), base, admission.Size{VCPUCount: 1, MemoryMiB: 2, DiskMiB: 1}, quiet)
	require.ErrorIs(t, err, ErrClosed)
}

func TestOpen_KeepsWhatCanBeUsed(t *testing.T) {
	h := newHost(t)
	kept, lost := h.build(t, "kept"), h.build(t, "lost")
	s := h.open(t)
	want := admission.Size{VCPUCount: 1, MemoryMiB: 2, DiskMiB: 2}
	use(t, s, kept, want)
	use(t, s, lost, want)
	require.NoError(t, s.Close())
	require.NoError(t, os.Mkdir(filepath.Join(h.config.Directory, nameOf(kept, want)+"-half.new"), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(h.config.Directory, "foreign"), 0o700))
	h.builds = h.builds[:1]

	s = h.open(t)
	entries, err := os.ReadDir(h.config.Directory)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	use(t, s, kept, want)
	require.EqualValues(t, 2, h.made.Load(), "it was made before the restart")

	require.NoError(t, s.Close())
	h.config.VMM.Version = "8"
	h.open(t)
	entries, err = os.ReadDir(h.config.Directory)
	require.NoError(t, err)
	require.Empty(t, entries, "another VMM does not restore them")
}

func TestEvict_RemovesTheLeastRecentlyUsedThatNothingNeeds(t *testing.T) {
	h := newHost(t)
	base := h.build(t, "build")
	s := h.open(t)
	sizes := make([]*snapshot.Snapshot, 5)
	for i := range sizes {
		sizes[i] = use(t, s, base, admission.Size{VCPUCount: 1 + i, MemoryMiB: 4, DiskMiB: 1})
	}
	held, release, err := s.use(t.Context(), base, admission.Size{VCPUCount: 1, MemoryMiB: 4, DiskMiB: 1}, quiet)
	require.NoError(t, err)
	require.Equal(t, sizes[0].Dir, held.Dir)
	// A VM has a name of its own for the memory.
	require.NoError(t, os.Link(sizes[1].State().MemoryPath, filepath.Join(h.directory, "of a VM")))
	s.mutex.Lock()
	for i, made := range sizes {
		for _, one := range s.sizes {
			if one.snapshot.Dir == made.Dir {
				one.used = time.Now().Add(-time.Duration(len(sizes)-i) * 10 * time.Minute)
			}
		}
	}
	s.mutex.Unlock()
	there := func() (indexes []int) {
		for i, made := range sizes {
			if _, err := os.Stat(made.Dir); err == nil {
				indexes = append(indexes, i)
			}
		}
		return indexes
	}
	now := time.Now()
	s.evict(now, 0)
	require.Equal(t, []int{0, 1, 2, 3, 4}, there(), "there is room for all")
	s.evict(now, 1)
	require.Equal(t, []int{0, 1, 3, 4}, there(), "the disk is short: 0 is being created from, 1 runs")
	s.config.MaxBytes = 13 << 20
	s.evict(now, 0)
	require.Equal(t, []int{0, 1, 4}, there(), "more than the store may have")
	s.evict(now.Add(2*time.Hour), 0)
	require.Equal(t, []int{0, 1}, there(), "unused for long")
	release()
	require.NoError(t, os.Remove(filepath.Join(h.directory, "of a VM")))
	h.builds = nil
	s.evict(now, 0)
	require.Empty(t, there(), "its build is gone")
}

func TestName_IsThatOfOneSizeOfOneBuild(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (*snapshot.Snapshot, admission.Size) {
			number := func(part string) int { return rapid.IntRange(1, 3).Draw(t, label+part) }
			base := &snapshot.Snapshot{}
			base.BuildID = rapid.SampledFrom([]string{"a", "b"}).Draw(t, label+"build")
			base.FinishKey = rapid.SampledFrom([]string{"", "k"}).Draw(t, label+"key")
			return base, admission.Size{VCPUCount: number("cpus"), MemoryMiB: number("memory"), DiskMiB: number("disk")}
		}
		a, sizeA := draw("first ")
		b, sizeB := draw("second ")
		same := sizeA == sizeB && a.FinishKey == b.FinishKey && (a.FinishKey != "" || a.BuildID == b.BuildID)
		if (nameOf(a, sizeA) == nameOf(b, sizeB)) != same {
			t.Fatalf("%s and %s", nameOf(a, sizeA), nameOf(b, sizeB))
		}
		s := &Store{}
		directory := filepath.Base(s.newDirectory(nameOf(a, sizeA)))
		if nameIn(directory) != nameOf(a, sizeA) || baseOf(nameIn(directory)) != keyOf(a) {
			t.Fatal(directory)
		}
	})
}
