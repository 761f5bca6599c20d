package files

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUpload_LetsOneOfTwoAtOnceWinWhole(t *testing.T) {
	g := newGuest(t)
	g.write("shared", "it is there", 0o666)
	contents := []string{strings.Repeat("a", 1<<20), strings.Repeat("b", 2<<20)}
	for range 10 {
		for _, name := range []string{"file", "shared"} {
			if name == "file" {
				require.NoError(t, os.RemoveAll(g.path(name)))
			}
			var both sync.WaitGroup
			answers := make([]answer, len(contents))
			for i, content := range contents {
				both.Go(func() { answers[i] = g.put(name, "nobody", content) })
			}
			both.Wait()
			for _, got := range answers {
				require.Equal(t, http.StatusOK, got.status, got.body)
			}
			won, err := os.ReadFile(g.path(name))
			require.NoError(t, err)
			require.True(t, string(won) == contents[0] || string(won) == contents[1], "%d bytes of %s are of both", len(won), name)
		}
	}
	requireNoDraft(t, g.directory)
}

func TestUpload_IsInvisibleUntilItIsWhole(t *testing.T) {
	g := newGuest(t)
	path := g.write("file", "old", 0o644)
	body, more := io.Pipe()
	done := make(chan answer, 1)
	go func() {
		done <- g.ask(http.MethodPost, "/files", at(path, ""), body, "Content-Type", "application/octet-stream")
	}()
	_, err := io.WriteString(more, "new ")
	require.NoError(t, err)
	g.awaitDrafts(1)
	require.Equal(t, "old", g.get(path, "").body)
	_, err = io.WriteString(more, "content")
	require.NoError(t, err)
	require.NoError(t, more.Close())
	require.Equal(t, http.StatusOK, (<-done).status)
	require.Equal(t, "new content", g.get(path, "").body)
}

// An upload whose client disappeared is ended and leaves no draft.
func TestUpload_BreaksOffWhenNothingComes(t *testing.T) {
	g := newGuest(t)
	g.handler.idle = 200 * time.Millisecond
	g.write("kept", "old", 0o644)
	for _, name := range []string{"new", "kept"} {
		body, more := io.Pipe()
		done := make(chan answer, 1)
		go func() {
			done <- g.ask(http.MethodPost, "/files", at(name, ""), body, "Content-Type", "application/octet-stream")
		}()
		for range 4 { // longer than idle altogether
			_, err := io.WriteString(more, "part")
			require.NoError(t, err)
			<-time.After(g.handler.idle / 2)
		}
		g.awaitDrafts(1)
		got := <-done
		require.Equal(t, http.StatusBadRequest, got.status, got.body)
		require.Contains(t, got.body, "broke off")
		require.NoError(t, more.Close())
		g.awaitDrafts(0)
	}
	require.NoFileExists(t, g.path("new"))
	g.requireContent(g.path("kept"), "old")
}

// Go ends a program with 10,000 threads, so that slow clients must not hold one
// each.
func TestUpload_HoldsNoThreadWhileItsClientIsSlow(t *testing.T) {
	const clients = 100
	g := newGuest(t)
	var all sync.WaitGroup
	bodies := make([]*io.PipeWriter, clients)
	for i := range clients {
		body, more := io.Pipe()
		bodies[i] = more
		all.Go(func() {
			got := g.ask(http.MethodPost, "/files", at(fmt.Sprintf("file%d", i), "nobody"), body, "Content-Type", "application/octet-stream")
			if got.status != http.StatusOK {
				t.Errorf("client %d: %d %s", i, got.status, got.body)
			}
		})
	}
	g.awaitDrafts(clients)
	require.Eventually(t, func() bool {
		threads, err := os.ReadDir("/proc/self/task")
		return err == nil && len(threads) < clients/2
	}, patience, time.Millisecond, "threads wait for clients")
	for _, body := range bodies {
		require.NoError(t, body.Close())
	}
	all.Wait()
}

// Some of the kernel's files have no end: a reader waits for the next line.
func TestEndReads_EndsReadsThatWaitWithTheirRequest(t *testing.T) {
	waiting, never, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		waiting.Close()
		never.Close()
	})
	ctx, leave := context.WithCancel(t.Context())
	defer endReads(ctx, waiting)()
	ended := make(chan error, 1)
	go func() {
		_, err := waiting.Read(make([]byte, 1))
		ended <- err
	}()
	leave()
	require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
}
