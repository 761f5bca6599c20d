package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// span is a range of pages in a memory file.
type span struct{ first, count int64 }

const pageBytes = 4096

// measureReadahead restores by hand, with the memory file in the page cache or out of it, and
// with the pages that the first command takes read ahead or not.
func measureReadahead(ctx context.Context, wrenn *installation.Installation, o options, into *measurements) (err error) {
	fmt.Fprintln(os.Stderr, "reading memory ahead")
	h, err := prepareHand(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	var pages map[int64]bool
	for range 2 { // what only one of two restores takes is left out
		taken, err := h.pagesOfFirstCommand(ctx)
		if err != nil {
			return err
		}
		if pages != nil {
			for page := range pages {
				if !taken[page] {
					delete(pages, page)
				}
			}
			continue
		}
		pages = taken
	}
	spans := joinPages(pages)
	into.readaheadPages, into.readaheadSpans = len(pages), len(spans)
	sides := []struct {
		cold, ahead bool
		took        *[]time.Duration
	}{
		{false, false, &into.warmCache},
		{false, true, &into.warmCacheAhead},
		{true, false, &into.coldCache},
		{true, true, &into.coldCacheAhead},
	}
	for round := range o.rounds {
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := h.prepareCache(wrenn, side.cold); err != nil {
				return err
			}
			began := time.Now()
			done := make(chan error, 1)
			if side.ahead {
				go func() { done <- h.readAhead(spans) }()
			} else {
				done <- nil
			}
			machine, err := h.restoreToFirstCommand(ctx)
			*side.took = append(*side.took, time.Since(began))
			if err = errors.Join(err, <-done); err != nil {
				return err
			}
			if err := machine.kill(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hand) memoryPath() string { return filepath.Join(h.templateDir, "memory") }

// restoreToFirstCommand returns the machine that has run it.
func (h *hand) restoreToFirstCommand(ctx context.Context) (_ *handMachine, err error) {
	machine, err := h.start()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, machine.kill())
		}
	}()
	if err := machine.awaitRunning(ctx); err != nil {
		return nil, err
	}
	agent := &guest.Agent{Client: clientInside(filepath.Join("/run/netns", namespaceName)), BaseURL: agentURL()}
	defer agent.Client.CloseIdleConnections()
	if err := wake(ctx, agent); err != nil {
		return nil, err
	}
	return machine, firstCommand(ctx, agent)
}

// pagesOfFirstCommand are the pages of the memory file that a restore maps until then.
func (h *hand) pagesOfFirstCommand(ctx context.Context) (_ map[int64]bool, err error) {
	machine, err := h.restoreToFirstCommand(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, machine.kill()) }()
	id := machine.command.Process.Pid
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", id))
	if err != nil {
		return nil, err
	}
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", id))
	if err != nil {
		return nil, err
	}
	defer pagemap.Close()
	pages := map[int64]bool{}
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasSuffix(fields[5], "/memory") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, _ := strconv.ParseInt(from, 16, 64)
		end, _ := strconv.ParseInt(to, 16, 64)
		offset, _ := strconv.ParseInt(fields[2], 16, 64)
		entries := make([]byte, (end-start)/pageBytes*8)
		if _, err := pagemap.ReadAt(entries, start/pageBytes*8); err != nil {
			return nil, err
		}
		for i := 0; i < len(entries); i += 8 {
			const present = 1 << 63
			if binary.NativeEndian.Uint64(entries[i:])&present != 0 {
				pages[offset/pageBytes+int64(i/8)] = true
			}
		}
	}
	if len(pages) == 0 {
		return nil, errors.New("QEMU has no page of the memory file")
	}
	return pages, nil
}

// joinPages joins pages with small gaps between them.
func joinPages(pages map[int64]bool) []span {
	const gap = 8
	sorted := make([]int64, 0, len(pages))
	for page := range pages {
		sorted = append(sorted, page)
	}
	slices.Sort(sorted)
	var spans []span
	for _, page := range sorted {
		if n := len(spans); n > 0 && page-spans[n-1].first-spans[n-1].count <= gap {
			spans[n-1].count = page - spans[n-1].first + 1
			continue
		}
		spans = append(spans, span{page, 1})
	}
	return spans
}

// prepareCache has the memory file in the page cache, or out of it: on the disk image that it
// lies in too, where there is one.
func (h *hand) prepareCache(wrenn *installation.Installation, cold bool) error {
	if !cold {
		_, err := os.ReadFile(h.memoryPath())
		return err
	}
	for _, path := range []string{h.memoryPath(), filepath.Join(wrenn.DataDir, "storage.xfs")} {
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = errors.Join(file.Sync(), unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED), file.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *hand) readAhead(spans []span) error {
	file, err := os.Open(h.memoryPath())
	if err != nil {
		return err
	}
	defer file.Close()
	for _, s := range spans {
		if err := unix.Fadvise(int(file.Fd()), s.first*pageBytes, s.count*pageBytes, unix.FADV_WILLNEED); err != nil {
			return err
		}
	}
	return nil
}
