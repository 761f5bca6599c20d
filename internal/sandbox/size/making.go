package size

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// making is a size that is being made. It belongs to the store, and not to the create that
// asked for it first.
type making struct {
	cancel context.CancelFunc

	mutex   sync.Mutex
	texts   []string
	ended   bool
	err     error
	changed chan struct{} // closed, and replaced, at each change
}

// tell adds a text for all who wait.
func (m *making) tell(text string) { m.change(func() { m.texts = append(m.texts, text) }) }

func (m *making) end(err error) { m.change(func() { m.ended, m.err = true, err }) }

func (m *making) change(how func()) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	how()
	close(m.changed)
	m.changed = make(chan struct{})
}

// await calls told with every text, and returns when the size is made or has failed.
func (m *making) await(ctx context.Context, told func(string)) error {
	for read := 0; ; {
		m.mutex.Lock()
		texts, ended, err, changed := slices.Clone(m.texts[read:]), m.ended, m.err, m.changed
		m.mutex.Unlock()
		for _, text := range texts {
			told(text)
		}
		read += len(texts)
		if ended {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the first snapshot of a size: %w", ctx.Err())
		case <-changed:
		}
	}
}

// make begins to make a size, or joins those who wait for it. It returns nil when the size
// is there.
func (s *Store) make(name string, base *snapshot.Snapshot, size admission.Size) (*making, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.sizes[name] != nil:
		return nil, nil //nolint:nilnil // the caller looks again
	case s.making[name] != nil:
		return s.making[name], nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	begun := &making{cancel: cancel, changed: make(chan struct{})}
	s.making[name] = begun
	s.tasks.Go(func() {
		defer cancel()
		made, err := s.makeInTurn(ctx, name, base, size, begun)
		s.mutex.Lock()
		delete(s.making, name)
		if err == nil {
			s.sizes[name] = made
		}
		s.mutex.Unlock()
		begun.end(err)
		s.Tidy()
	})
	return begun, nil
}

func (s *Store) makeInTurn(ctx context.Context, name string, base *snapshot.Snapshot, size admission.Size, begun *making) (*sized, error) {
	select {
	case s.turns <- struct{}{}:
	default:
		begun.tell("Other sizes are being made on the host; this one waits for its turn")
		select {
		case s.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, ErrClosed
		}
	}
	defer func() { <-s.turns }()
	began := time.Now()
	begun.tell(fmt.Sprintf("The first sandbox of this size on its host: the template boots once with %s", size))
	made, err := s.config.Maker.Make(ctx, Wanted{Base: base, Size: size, Directory: s.newDirectory(name), Told: begun.tell})
	log := s.config.Log.With("build", base.BuildID, "vcpus", size.VCPUCount, "memoryMiB", size.MemoryMiB, "diskMiB", size.DiskMiB)
	took := time.Since(began)
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(ErrClosed, err)
		}
		log.WarnContext(ctx, "the size of a template could not be made", "took", took, "error", err)
		return nil, fmt.Errorf("make build %s with %s: %w", base.BuildID, size, err)
	}
	log.InfoContext(ctx, "the size of a template was made", "took", took)
	begun.tell(fmt.Sprintf("The size is ready after %s, and kept for later sandboxes", took.Round(time.Millisecond)))
	return &sized{snapshot: made, used: time.Now(), bytes: s.measure(made, base)}, nil
}
