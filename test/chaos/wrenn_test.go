package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// wrenn is a whole Wrenn with two control planes, all of whose processes may be killed.
type wrenn struct {
	*installation.Installation
	peace *peace
	log   *os.File

	mutex   sync.Mutex
	replica *installation.Replica
}

// startWrenn starts one in a directory of its own, which stays where the test fails.
func startWrenn(t *testing.T) *wrenn {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real VMs in network namespaces")
	}
	made, err := installation.New(io.Discard)
	require.NoError(t, err)
	log, err := os.Create(filepath.Join(made.DataDir, "up.log"))
	require.NoError(t, err)
	made.Output, made.Settings = log, []string{"WRENN_WARM_MEMORY_PERCENT=0"}
	w := &wrenn{Installation: made, peace: newPeace(), log: log}
	t.Cleanup(func() {
		if t.Failed() {
			showParts(t, made.DataDir)
			_ = w.stop(context.Background())
			return
		}
		require.NoError(t, made.Remove())
	})
	require.NoError(t, w.Up(t.Context()))
	w.replica, err = w.StartReplica(t.Context(), log)
	require.NoError(t, err)
	return w
}

// stop ends all of it.
func (w *wrenn) stop(ctx context.Context) error {
	w.mutex.Lock()
	replica := w.replica
	w.replica = nil
	w.mutex.Unlock()
	var err error
	if replica != nil {
		err = replica.Stop()
	}
	return errors.Join(err, w.Down(ctx), w.log.Close())
}

func showParts(t *testing.T, dataDir string) {
	t.Helper()
	const newest = 6 << 10
	paths, _ := filepath.Glob(filepath.Join(dataDir, "logs", "*.log"))
	for _, path := range append(paths, filepath.Join(dataDir, "up.log")) {
		content, _ := os.ReadFile(path)
		t.Logf("the end of %s:\n%s", path, content[max(0, len(content)-newest):])
	}
}

// address is that of one of the control planes.
func (w *wrenn) address(random *rand.Rand) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.replica != nil && random.IntN(2) == 0 {
		return w.replica.Address
	}
	return w.Address
}

// restartReplica ends the second control plane and starts another.
func (w *wrenn) restartReplica(ctx context.Context, end func(*installation.Replica) error) error {
	w.mutex.Lock()
	old := w.replica
	w.replica = nil
	w.mutex.Unlock()
	if old != nil {
		if err := end(old); err != nil {
			return err
		}
	}
	started, err := w.StartReplica(ctx, w.log)
	if ctx.Err() != nil && err != nil {
		return nil //nolint:nilerr // the test is over
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.replica = started
	return err
}

// signalPart sends a signal to a part that wrenn up keeps running; it does nothing while
// there is none.
func (w *wrenn) signalPart(name string, signal syscall.Signal) bool {
	sent := false
	for _, process := range processes() {
		comm, err := os.ReadFile(filepath.Join(process.directory, "comm"))
		if err != nil || strings.TrimSpace(string(comm)) != name {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(process.directory, "environ"))
		if err == nil && bytes.Contains(environment, []byte(w.DataDir+"/")) {
			sent = syscall.Kill(process.id, signal) == nil || sent
		}
	}
	return sent
}

// buildVMs are the processes of the VMs in which builds run.
func (w *wrenn) buildVMs() []int {
	var found []int
	for _, process := range processes() {
		command, err := os.ReadFile(filepath.Join(process.directory, "cmdline"))
		if err == nil && bytes.Contains(command, []byte(w.storage("builds")+"/")) {
			found = append(found, process.id)
		}
	}
	return found
}

func (w *wrenn) storage(parts ...string) string {
	return filepath.Join(append([]string{w.DataDir, "storage"}, parts...)...)
}

type hostProcess struct {
	id        int
	directory string
}

func processes() []hostProcess {
	directories, _ := filepath.Glob("/proc/[0-9]*")
	all := make([]hostProcess, 0, len(directories))
	for _, directory := range directories {
		if id, err := strconv.Atoi(filepath.Base(directory)); err == nil {
			all = append(all, hostProcess{id, directory})
		}
	}
	return all
}

// reply is what the API has answered.
type reply struct {
	status int
	body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d: %s", r.status, bytes.TrimSpace(r.body)) }

// patience is how long the API may be away that is killed now and then.
const patience = time.Minute

// ask calls the API until it answers with something else than that it, or what it needs,
// is away. The call may have been done several times then.
func (b *builder) ask(ctx context.Context, method, path string, body, into any) (reply, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return reply{}, err
		}
	}
	return b.send(ctx, method, func() string { return "http://" + b.wrenn.address(b.random) + path }, encoded, into)
}

func (b *builder) send(ctx context.Context, method string, url func() string, body []byte, into any) (got reply, err error) {
	err = b.wrenn.peace.eventually(ctx, patience, 100*time.Millisecond, func() error {
		got, err = b.sendOnce(ctx, method, url(), body)
		switch {
		case err != nil:
			return again(err)
		case got.status == http.StatusInternalServerError:
			return fmt.Errorf("%s %s: an internal error is no clear answer: %s", method, url(), got)
		case got.status > http.StatusInternalServerError, got.status == http.StatusTooManyRequests:
			return again(errors.New(got.String()))
		case into != nil && got.status < http.StatusMultipleChoices:
			return json.Unmarshal(got.body, into)
		}
		return nil
	})
	return got, err
}

func (b *builder) sendOnce(ctx context.Context, method, url string, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("X-API-Key", b.wrenn.APIKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, content}, err
}

// requireNothingOf stops a Wrenn whose templates were deleted, and looks for what is left.
func requireNothingOf(t *testing.T, w *wrenn, before leakcheck.Snapshot) {
	t.Helper()
	require.NoError(t, w.stop(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), leakPatience)
	defer cancel()
	left, err := before.LeftByInstallation(ctx, w.DataDir)
	require.NoError(t, err)
	require.Empty(t, left, "%s after the end", leakPatience)
}
