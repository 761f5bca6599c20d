package filesystem

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

func (w *world) createWatcher(t *testing.T, options *pb.CreateWatcherRequest) string {
	t.Helper()
	response, err := w.CreateWatcher(t.Context(), connect.NewRequest(options))
	require.NoError(t, err)
	return response.Msg.GetWatcherId()
}

func (w *world) poll(t *testing.T, id string) ([]*pb.FilesystemEvent, error) {
	t.Helper()
	response, err := w.GetWatcherEvents(t.Context(), connect.NewRequest(&pb.GetWatcherEventsRequest{WatcherId: id}))
	if err != nil {
		return nil, err
	}
	return response.Msg.GetEvents(), nil
}

func (w *world) removeWatcher(t *testing.T, id string) {
	t.Helper()
	_, err := w.RemoveWatcher(t.Context(), connect.NewRequest(&pb.RemoveWatcherRequest{WatcherId: id}))
	require.NoError(t, err)
}

// pollUntilError returns all that came before the watcher ended, and why it did.
func (w *world) pollUntilError(t *testing.T, id string) (told []string, end error) {
	t.Helper()
	require.Eventually(t, func() bool {
		events, err := w.poll(t, id)
		for _, event := range events {
			told = append(told, spell(event))
		}
		end = err
		return err != nil
	}, patience, time.Millisecond, "the watcher goes on")
	return told, end
}

func TestWatcher_HandsOutEachChangeOnce(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("below"))
	id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory, Recursive: true, IncludeEntry: true})
	events, err := w.poll(t, id)
	require.NoError(t, err)
	require.Empty(t, events)

	write(t, w.path("below", "file"), "x")
	told := []string{}
	require.Eventually(t, func() bool {
		events, err := w.poll(t, id)
		require.NoError(t, err)
		for _, event := range events {
			require.Equal(t, w.path("below", "file"), event.GetEntry().GetPath())
			told = append(told, spell(event))
		}
		return len(told) >= 2
	}, patience, time.Millisecond)
	require.Equal(t, []string{"CREATE below/file", "WRITE below/file"}, told)
	w.removeWatcher(t, id)
	_, err = w.poll(t, id)
	requireCode(t, connect.CodeNotFound, "no such watcher", err)
	require.Zero(t, openInotifies(t))
}

func TestWatcher_AnswersWithAllThatHappenedBeforeItWasAsked(t *testing.T) {
	w := newWorld(t)
	id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory, Recursive: true})
	for i := range 50 {
		name := fmt.Sprint(i)
		write(t, w.path(name, "file"), "x")
		require.NoError(t, os.Rename(w.path(name, "file"), w.path(name, "moved")))
		events, err := w.poll(t, id)
		require.NoError(t, err)
		told := []string{}
		for _, event := range events {
			told = append(told, spell(event))
		}
		require.Contains(t, told, "CREATE "+name)
		require.Contains(t, told, "CREATE "+name+"/moved")
		events, err = w.poll(t, id)
		require.NoError(t, err)
		require.Empty(t, events, "each change is reported once")
	}
	makeDirectory(t, w.path("gone"))
	ending := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.path("gone")})
	write(t, w.path("gone", "file"), "")
	require.NoError(t, os.RemoveAll(w.path("gone")))
	events, err := w.poll(t, ending)
	require.NoError(t, err)
	require.Len(t, events, 2)
	_, err = w.poll(t, ending)
	requireCode(t, connect.CodeNotFound, "removed, renamed or unmounted", err)
}

func TestWatcher_AnswersManyWhoAskAtOnce(t *testing.T) {
	w := newWorld(t)
	id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory})
	var asking sync.WaitGroup
	var told atomic.Int64
	const rounds, askers = 20, 8
	for asker := range askers {
		asking.Go(func() {
			for i := range rounds {
				write(t, w.path(fmt.Sprintf("%d-%d", asker, i)), "")
				events, err := w.poll(t, id)
				if err != nil {
					t.Error(err)
				}
				told.Add(int64(len(events)))
			}
		})
	}
	asking.Wait()
	require.EqualValues(t, rounds*askers, told.Load(), "each change once, to one of them")
}

func TestWatcher_OutlivesTheRequestThatMadeIt(t *testing.T) {
	w := newWorld(t)
	request := connect.NewRequest(&pb.CreateWatcherRequest{Path: w.directory})
	request.Header().Set("Connect-Timeout-Ms", "300")
	response, err := w.CreateWatcher(t.Context(), request)
	require.NoError(t, err)
	known := w.service.watchers[response.Msg.GetWatcherId()]
	select {
	case <-known.ended:
		t.Fatal("the watcher ended with its request")
	case <-time.After(500 * time.Millisecond):
	}
}

func TestWatcher_SaysWhyItEndedAfterWhatCameBefore(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("parent", "watched"))
	id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.path("parent", "watched")})
	write(t, w.path("parent", "watched", "file"), "")
	require.NoError(t, os.RemoveAll(w.path("parent", "watched")))
	told, err := w.pollUntilError(t, id)
	require.Equal(t, []string{"CREATE file", "REMOVE file"}, told)
	requireCode(t, connect.CodeNotFound, "removed, renamed or unmounted", err)
	require.Eventually(t, func() bool { return openInotifies(t) == 0 }, patience, time.Millisecond)
	_, err = w.poll(t, id)
	requireCode(t, connect.CodeNotFound, "removed, renamed or unmounted", err)
	w.removeWatcher(t, id)

	makeDirectory(t, w.path("parent", "watched"))
	id = w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.path("parent", "watched")})
	require.NoError(t, os.Rename(w.path("parent"), w.path("moved")))
	told, err = w.pollUntilError(t, id)
	require.Empty(t, told)
	requireCode(t, connect.CodeNotFound, "removed, renamed or unmounted", err)
}

func TestWatcher_ReportsThatItsBufferWasTooSmall(t *testing.T) {
	w := newWorld(t)
	w.service.limits.events = 5
	id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory})
	for i := range 10 {
		require.NoError(t, os.Mkdir(w.path(fmt.Sprint(i)), 0o755))
	}
	require.Eventually(t, func() bool { return openInotifies(t) == 0 }, patience, time.Millisecond, "it ends at once")
	told, err := w.pollUntilError(t, id)
	require.LessOrEqual(t, len(told), 5)
	for i, change := range told {
		require.Equal(t, fmt.Sprintf("CREATE %d", i), change, "what it kept is without gaps")
	}
	requireCode(t, connect.CodeDataLoss, "some are missing", err)
}

func TestWatcher_ThatHoardsMakesRoomForOthers(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("hoard"))
	makeDirectory(t, w.path("small"))
	w.service.limits.bufferedBytes = 10 * (entryOverhead + 10)
	hoarder := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.path("hoard")})
	modest := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.path("small")})
	buffered := func(id string) int {
		w.service.mutex.Lock()
		defer w.service.mutex.Unlock()
		return len(w.service.watchers[id].events)
	}
	for i := range 9 {
		require.NoError(t, os.Mkdir(w.path("hoard", fmt.Sprint(i)), 0o755))
	}
	require.Eventually(t, func() bool { return buffered(hoarder) == 9 }, patience, time.Millisecond)
	for i := range 3 {
		require.NoError(t, os.Mkdir(w.path("small", fmt.Sprint(i)), 0o755))
	}
	require.Eventually(t, func() bool { return buffered(modest) == 3 }, patience, time.Millisecond)
	told, err := w.pollUntilError(t, hoarder)
	require.Empty(t, told)
	requireCode(t, connect.CodeDataLoss, "some are missing", err)
	events, err := w.poll(t, modest)
	require.NoError(t, err)
	require.Len(t, events, 3)
	w.removeWatcher(t, hoarder)
	w.removeWatcher(t, modest)
	require.Zero(t, w.service.buffered)
}

func TestWatcher_ExpiresWhenNobodyAsks(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("gone"))
	w.service.limits.expireAfter = 200 * time.Millisecond
	id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory})
	ended := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.path("gone")})
	require.NoError(t, os.Remove(w.path("gone")))
	known := func() int {
		w.service.mutex.Lock()
		defer w.service.mutex.Unlock()
		return len(w.service.watchers)
	}
	// Asked, it lives on.
	for begin := time.Now(); time.Since(begin) < 500*time.Millisecond; runtime.Gosched() {
		_, err := w.poll(t, id)
		require.NoError(t, err)
	}
	require.Equal(t, 1, known())
	_, err := w.poll(t, ended)
	requireCode(t, connect.CodeNotFound, "no such watcher", err)
	require.Eventually(t, func() bool { return known() == 0 }, patience, time.Millisecond)
	_, err = w.poll(t, id)
	requireCode(t, connect.CodeNotFound, "no such watcher", err)
	require.Eventually(t, func() bool { return w.openWatches() == 0 }, patience, time.Millisecond)
}

func (w *world) openWatches() int {
	w.service.mutex.Lock()
	defer w.service.mutex.Unlock()
	return w.service.watches
}

func TestWatches_AreLimitedAndTheLongestUnaskedMakesRoom(t *testing.T) {
	w := newWorld(t)
	w.service.limits.watches = 3
	ids := []string{}
	for range 2 {
		ids = append(ids, w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory}))
	}
	s := w.watchRoot(t, &pb.WatchDirRequest{})
	requireCode(t, connect.CodeResourceExhausted, "too many watchers", calls["CreateWatcher"](t.Context(), w, "root", "."))
	requireCode(t, connect.CodeResourceExhausted, "too many watchers", calls["WatchDir"](t.Context(), w, "root", "."))

	w.service.mutex.Lock()
	w.service.watchers[ids[0]].asked = time.Now().Add(-w.service.limits.evictAfter - time.Minute)
	w.service.watchers[ids[1]].asked = time.Now().Add(-w.service.limits.evictAfter - time.Second)
	w.service.mutex.Unlock()
	newest := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory})
	_, err := w.poll(t, ids[0])
	requireCode(t, connect.CodeNotFound, "no such watcher", err)
	for _, id := range []string{ids[1], newest} {
		_, err = w.poll(t, id)
		require.NoError(t, err)
	}
	s.leave()
	require.Eventually(t, func() bool { return w.openWatches() == 2 }, patience, time.Millisecond, "a client that leaves makes room")
}

func TestClose_EndsWatchersAndRefusesNewOnes(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory})
	}
	require.Equal(t, 5, openInotifies(t))
	w.service.Close()
	require.Zero(t, openInotifies(t))
	requireCode(t, connect.CodeUnavailable, "shutting down", calls["CreateWatcher"](t.Context(), w, "root", "."))
	require.ErrorIs(t, w.service.know("late", nil), errClosed)
	w.service.Close()
}

func TestWatches_ByTheHundredLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("a", "b", "c"))
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for i := range 30 {
				name := fmt.Sprintf("%d-%d", worker, i)
				id := w.createWatcher(t, &pb.CreateWatcherRequest{Path: w.directory, Recursive: true})
				write(t, w.path("a", "b", name), "")
				if i%2 == 0 {
					w.removeWatcher(t, id)
				}
				w.watchRoot(t, &pb.WatchDirRequest{Recursive: i%3 == 0}).leave()
				if i%2 == 1 {
					w.removeWatcher(t, id)
				}
			}
		})
	}
	workers.Wait()
	require.Eventually(t, func() bool { return w.openWatches() == 0 }, patience, time.Millisecond)
	require.Zero(t, openInotifies(t))
	require.Zero(t, w.service.buffered)
}
