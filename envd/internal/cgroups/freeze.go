package cgroups

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FreezeResult counts groups and measures the freezing.
type FreezeResult struct {
	Requested    int // to be frozen
	Frozen       int // reported as frozen in time
	NotFrozen    int // not yet frozen
	Failed       int // whose cgroup.freeze could not be written
	Unobservable int // whose state could not be read
	Sweep        time.Duration
	Wait         time.Duration
}

// freezable are the classes of users.
var freezable = []Class{User, PTY}

const pollEvery = time.Millisecond

// Freeze freezes every command and waits up to maxWait until none runs. None can be
// started until Thaw. It returns early when the context ends.
func (g *Groups) Freeze(ctx context.Context, maxWait time.Duration) (FreezeResult, error) {
	g.starting.Lock() // waits for processes that are being started
	g.frozen = true
	g.starting.Unlock()
	began := time.Now()
	var result FreezeResult
	var asked []string
	for _, class := range freezable {
		if g.ungrouped {
			break
		}
		result.Requested++
		directory := g.files[class].Name()
		if err := write(directory, "cgroup.freeze", "1"); err != nil {
			g.log.ErrorContext(ctx, "freeze commands", "error", err)
			result.Failed++
			continue
		}
		asked = append(asked, directory)
	}
	result.Sweep = time.Since(began)
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	for _, directory := range asked {
		frozen, err := awaitFrozen(ctx, directory)
		switch {
		case err != nil:
			result.Unobservable++
		case frozen:
			result.Frozen++
		default:
			result.NotFrozen++
		}
	}
	result.Wait = time.Since(began) - result.Sweep
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return result, err
	}
	return result, nil
}

// awaitFrozen reads the state at least once, even if the context has ended.
func awaitFrozen(ctx context.Context, directory string) (bool, error) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		events, err := os.ReadFile(filepath.Join(directory, "cgroup.events"))
		if err != nil {
			return false, err
		}
		if strings.Contains(string(events), "frozen 1") {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
		}
	}
}

// Thaw lets every command run on. It does nothing if they are not frozen.
func (g *Groups) Thaw() error {
	g.starting.Lock()
	defer g.starting.Unlock()
	if !g.frozen {
		return nil
	}
	var failures []error
	for _, class := range freezable {
		if file, ok := g.files[class]; ok {
			failures = append(failures, write(file.Name(), "cgroup.freeze", "0"))
		}
	}
	err := errors.Join(failures...)
	g.frozen = err != nil
	return err
}
