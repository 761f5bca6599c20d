package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	filesystempb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/gen/filesystem/filesystemconnect"
	processpb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/mmds"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// notes stands in for the machine, its groups, ports and connections, which a
// test must not touch. The real ones are tested in their packages, and together
// in a real guest by the host agent's tests.
type notes struct {
	mutex    sync.Mutex
	taken    []string
	failures map[string]error
	clock    time.Time
	seed     host.Seed
	unusable bool
	metadata mmds.Metadata
}

func (n *notes) note(what string) error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.taken = append(n.taken, what)
	return n.failures[what]
}

// takeAll returns what was noted since the last call.
func (n *notes) takeAll() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	taken := n.taken
	n.taken = nil
	return taken
}

func (n *notes) SetClock(now time.Time) error { n.clock = now; return n.note("clock") }

func (n *notes) Reseed(seed host.Seed, life string) error {
	n.seed = seed
	return n.note("reseed " + life)
}

func (n *notes) RenewIdentity(name id.Sandbox) error {
	return n.note(strings.TrimSpace("identity " + string(name)))
}

func (n *notes) InstallCertificates([]byte) error {
	return n.note("certificates")
}

func (n *notes) SetHostService(address netip.Addr) error {
	return n.note("host service " + address.String())
}

func (n *notes) MountVolumes(_ context.Context, volumes []host.Volume) error {
	if len(volumes) == 0 {
		return n.note("no volumes")
	}
	for _, volume := range volumes {
		if err := n.note("mount " + volume.Path); err != nil {
			return err
		}
	}
	return nil
}
func (n *notes) SyncVolumes(context.Context) error { return n.note("sync volumes") }
func (n *notes) FreezeFilesystem() error           { return n.note("freeze file system") }
func (n *notes) ThawFilesystem() error             { return n.note("thaw file system") }
func (n *notes) Collapse() (host.Collapsed, error) {
	return host.Collapsed{Regions: 1, Chunks: 2, Collapsed: 1, Skipped: 1, ElapsedMs: 7}, n.note("collapse")
}

func (n *notes) Start(_ cgroups.Class, _ *syscall.SysProcAttr, start func() error) error {
	return start()
}

func (n *notes) Usable() bool { return !n.unusable }

func (n *notes) Freeze(_ context.Context, wait time.Duration) (cgroups.FreezeResult, error) {
	return cgroups.FreezeResult{Requested: 2, Frozen: 1, NotFrozen: 1, Sweep: 2 * time.Millisecond, Wait: wait}, n.note("freeze")
}
func (n *notes) Thaw() error { return n.note("thaw") }

func (n *notes) Restart() { _ = n.note("ports on") }
func (n *notes) Stop()    { _ = n.note("ports off") }

func (n *notes) SetKeepAlivesEnabled(enabled bool) {
	if enabled {
		_ = n.note("keep connections")
		return
	}
	_ = n.note("drop connections")
}

func (n *notes) Read(context.Context) (mmds.Metadata, error) {
	return n.metadata, n.failures["metadata"]
}

// guest is an envd under test, as the host and clients see it.
type guest struct {
	*notes
	// inside makes the calls those of a process of the guest.
	inside bool
	url    string
	client *http.Client
	t      *testing.T
}

func newGuest(t *testing.T, withMetadata bool) *guest {
	t.Helper()
	n := &notes{failures: map[string]error{}}
	config := Config{Machine: n, Groups: n, Ports: n, Connections: n, Log: slog.New(slog.DiscardHandler)}
	if withMetadata {
		config.Metadata = n
	}
	server := New(config)
	g := &guest{notes: n, t: t}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.inside {
			r.RemoteAddr = "192.0.2.1:1"
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		listening.Close()
		server.Close()
	})
	g.url, g.client = listening.URL, listening.Client()
	return g
}

type answer struct {
	status int
	body   string
	header http.Header
}

func (g *guest) call(method, path, token, body string) answer {
	g.t.Helper()
	request, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	require.NoError(g.t, err)
	if token != "" {
		request.Header.Set("X-Access-Token", token)
	}
	response, err := g.client.Do(request)
	require.NoError(g.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(g.t, err)
	return answer{response.StatusCode, string(content), response.Header}
}

func (g *guest) init(token, body string) int {
	return g.call(http.MethodPost, "/init", token, body).status
}

func currentUser(t *testing.T) string {
	t.Helper()
	current, err := user.Current()
	require.NoError(t, err)
	return current.Username
}

func TestServer_TellsTheGuestsOwnProcessesTheVariables(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"secret","envVars":{"A":"1"}}`))
	g.inside = true
	require.JSONEq(t, `{"A":"1"}`, g.call(http.MethodGet, "/envs", "", "").body)
	require.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, "/envs", "wrong", "").status, "a secret is compared wherever it comes from")
	for _, path := range []string{"/metrics", "/files?path=/etc/hostname"} {
		require.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, path, "", "").status, path)
	}
	require.Equal(t, http.StatusUnauthorized, g.call(http.MethodPost, "/envs", "", "").status)
}

func TestServer_TellsNoPageOfABrowserInTheGuestTheVariables(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"secret","envVars":{"A":"1"}}`))
	g.inside = true
	for name, change := range map[string]func(*http.Request){
		"a page's script":                func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		"a browser without an origin":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
		"a name that is bound anew":      func(r *http.Request) { r.Host = "rebound.example.com:49983" },
		"an address that is no loopback": func(r *http.Request) { r.Host = "169.254.0.21:49983" },
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/envs", nil)
		require.NoError(t, err)
		change(request)
		response, err := g.client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode, name)
	}
}

func TestServer_NeedsTheTokenOnceThereIsOne(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusOK, g.call(http.MethodGet, "/envs", "", "").status, "a template has no token yet")
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"secret"}`))
	for _, path := range []string{"/envs", "/metrics", "/files?path=/etc/hostname", "/no/such/route"} {
		require.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, path, "", "").status, path)
		require.Equal(t, http.StatusUnauthorized, g.call(http.MethodGet, path, "wrong", "").status, path)
	}
	for _, path := range []string{"/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/snapshot/prepare", "/process.Process/List"} {
		require.Equal(t, http.StatusUnauthorized, g.call(http.MethodPost, path, "", "").status, path)
	}
	require.Equal(t, http.StatusNoContent, g.call(http.MethodGet, "/health", "", "").status)
	require.Equal(t, http.StatusOK, g.call(http.MethodGet, "/envs", "secret", "").status)
	require.Equal(t, http.StatusNotFound, g.call(http.MethodGet, "/no/such/route", "secret", "").status)
	require.Equal(t, http.StatusMethodNotAllowed, g.call(http.MethodDelete, "/envs", "secret", "").status)
}

func TestServer_SaysWhatIsWrongInTheProtocolsShape(t *testing.T) {
	g := newGuest(t, false)
	var failure struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	got := g.call(http.MethodGet, "/nowhere", "", "")
	require.NoError(t, json.Unmarshal([]byte(got.body), &failure))
	require.Equal(t, http.StatusNotFound, failure.Code)
	require.NotEmpty(t, failure.Message)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
}

func TestServer_LetsBrowsersAsk(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"accessToken":"secret"}`))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, g.url+"/files", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Access-Control-Request-Headers", "x-access-token, connect-protocol-version")
	response, err := g.client.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusNoContent, response.StatusCode, "a browser asks without the token")
	require.Equal(t, "x-access-token, connect-protocol-version", response.Header.Get("Access-Control-Allow-Headers"))
	require.Contains(t, response.Header.Get("Access-Control-Allow-Methods"), http.MethodPost)
	require.Equal(t, "*", g.call(http.MethodGet, "/envs", "secret", "").header.Get("Access-Control-Allow-Origin"))
	plain := g.call(http.MethodOptions, "/files", "", "")
	require.Equal(t, "*", plain.header.Get("Access-Control-Allow-Headers"))
}

func TestServer_MeasuresTheMachine(t *testing.T) {
	g := newGuest(t, false)
	var measured map[string]any
	require.NoError(t, json.Unmarshal([]byte(g.call(http.MethodGet, "/metrics", "", "").body), &measured))
	for _, name := range []string{"ts", "cpu_count", "cpu_used_pct", "mem_total", "mem_used", "mem_cache", "mem_total_mib", "mem_used_mib", "disk_used", "disk_total"} {
		require.Contains(t, measured, name)
	}
}

func TestFreeze_TellsWhatStopped(t *testing.T) {
	g := newGuest(t, false)
	got := g.call(http.MethodPost, "/freeze?maxWaitMs=250", "", "")
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"requested":2,"frozen":1,"notFrozen":1,"failed":0,"unobservable":0,"sweepMs":2,"waitMs":250}`, got.body)
	got = g.call(http.MethodPost, "/freeze?maxWaitMs=999999999999", "", "")
	require.Contains(t, got.body, `"waitMs":30000`, "nobody waits for ever")
	for _, wait := range []string{"-1", "soon", "99999999999999999999"} {
		require.Equal(t, http.StatusBadRequest, g.call(http.MethodPost, "/freeze?maxWaitMs="+wait, "", "").status, wait)
	}
	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/unfreeze", "", "").status)
	require.Equal(t, []string{"freeze", "freeze", "thaw"}, g.takeAll())

	g.failures["freeze"], g.failures["thaw"] = errors.New("stuck"), errors.New("stuck")
	require.Equal(t, http.StatusInternalServerError, g.call(http.MethodPost, "/freeze", "", "").status)
	require.Equal(t, http.StatusInternalServerError, g.call(http.MethodPost, "/unfreeze", "", "").status)
	g.unusable = true
	require.Equal(t, http.StatusServiceUnavailable, g.call(http.MethodPost, "/freeze", "", "").status)
	require.Equal(t, http.StatusServiceUnavailable, g.call(http.MethodPost, "/unfreeze", "", "").status)
}

func TestFilesystemFreeze_TellsInabilityFromFailure(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/fsfreeze", "", "").status)
	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/fsthaw", "", "").status)
	g.failures["freeze file system"], g.failures["thaw file system"] = host.ErrCannotFreeze, errors.New("broken")
	require.Equal(t, http.StatusServiceUnavailable, g.call(http.MethodPost, "/fsfreeze", "", "").status)
	require.Equal(t, http.StatusInternalServerError, g.call(http.MethodPost, "/fsthaw", "", "").status)
}

func TestInit_LetsAFrozenFilesystemGo(t *testing.T) {
	g := newGuest(t, false)
	thaw := []string{"thaw file system", "thaw", "keep connections", "ports on"}
	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/fsfreeze", "", "").status)
	g.takeAll()
	g.failures["thaw file system"] = errors.New("broken")
	require.Equal(t, http.StatusInternalServerError, g.init("", `{}`), "a guest that cannot write is not well")
	require.Equal(t, thaw, g.takeAll())
	delete(g.failures, "thaw file system")
	require.Equal(t, http.StatusNoContent, g.init("", `{}`))
	require.Equal(t, thaw, g.takeAll(), "it is tried again")
	require.Equal(t, http.StatusNoContent, g.init("", `{}`))
	require.Equal(t, thaw[1:], g.takeAll(), "once is enough")
}

func TestCollapse_TellsWhatItGathered(t *testing.T) {
	g := newGuest(t, false)
	got := g.call(http.MethodPost, "/collapse", "", "")
	require.JSONEq(t, `{"regions":1,"chunks":2,"collapsed":1,"alreadyHuge":0,"skipped":1,"elapsedMs":7}`, got.body)
	g.failures["collapse"] = errors.New("broken")
	require.Equal(t, http.StatusInternalServerError, g.call(http.MethodPost, "/collapse", "", "").status)
}

func TestPrepareSnapshot_QuietsUntilTheNextInit(t *testing.T) {
	g := newGuest(t, false)
	for range 2 {
		require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/snapshot/prepare", "", "").status)
	}
	require.Equal(t, []string{"sync volumes", "drop connections", "ports off", "sync volumes", "drop connections", "ports off"}, g.takeAll())
	require.Equal(t, http.StatusNoContent, g.init("", `{}`))
	require.Equal(t, []string{"thaw", "keep connections", "ports on"}, g.takeAll())
}

func TestInit_OfANewLifeEndsStreamsOfTheOneBefore(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"lifecycleID":"parent","defaultUser":"`+currentUser(t)+`"}`))
	files := filesystemconnect.NewFilesystemClient(g.client, g.url)
	watch, err := files.WatchDir(t.Context(), connect.NewRequest(&filesystempb.WatchDirRequest{Path: t.TempDir()}))
	require.NoError(t, err)
	require.True(t, watch.Receive(), "%v", watch.Err())
	require.Equal(t, http.StatusNoContent, g.init("", `{"lifecycleID":"fork"}`))
	require.False(t, watch.Receive())
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(watch.Err()))
}

func TestPrepareSnapshot_EndsStreamsAndSaysWhy(t *testing.T) {
	g := newGuest(t, false)
	require.Equal(t, http.StatusNoContent, g.init("", `{"defaultUser":"`+currentUser(t)+`"}`))
	files := filesystemconnect.NewFilesystemClient(g.client, g.url)
	watch, err := files.WatchDir(t.Context(), connect.NewRequest(&filesystempb.WatchDirRequest{Path: t.TempDir()}))
	require.NoError(t, err)
	require.True(t, watch.Receive(), "%v", watch.Err())
	processes := processconnect.NewProcessClient(g.client, g.url)
	command, err := processes.Start(t.Context(), connect.NewRequest(&processpb.StartRequest{Process: &processpb.ProcessConfig{Cmd: "cat"}}))
	require.NoError(t, err)
	require.True(t, command.Receive(), "%v", command.Err())
	pid := command.Msg().GetEvent().GetStart().GetPid()

	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/snapshot/prepare?keepStreams=true", "", "").status)
	require.Equal(t, http.StatusNoContent, g.init("", `{}`))
	_, err = processes.SendInput(t.Context(), connect.NewRequest(&processpb.SendInputRequest{
		Process: &processpb.ProcessSelector{Selector: &processpb.ProcessSelector_Pid{Pid: pid}},
		Input:   &processpb.ProcessInput{Input: &processpb.ProcessInput_Stdin{Stdin: []byte("still here")}},
	}))
	require.NoError(t, err)
	require.True(t, command.Receive(), "a stream that is kept goes on: %v", command.Err())
	require.Equal(t, "still here", string(command.Msg().GetEvent().GetData().GetStdout()))

	require.Equal(t, http.StatusNoContent, g.call(http.MethodPost, "/snapshot/prepare", "", "").status)
	require.False(t, watch.Receive())
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(watch.Err()), "%v", watch.Err())
	require.False(t, command.Receive())
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(command.Err()), "%v", command.Err())

	require.Equal(t, http.StatusNoContent, g.init("", `{}`))
	_, err = processes.SendSignal(t.Context(), connect.NewRequest(&processpb.SendSignalRequest{
		Process: &processpb.ProcessSelector{Selector: &processpb.ProcessSelector_Pid{Pid: pid}}, Signal: processpb.Signal_SIGNAL_SIGKILL,
	}))
	require.NoError(t, err)
}

// What is kept alive is closed for real: here over a real server.
func TestPrepareSnapshot_ClosesIdleConnections(t *testing.T) {
	n := &notes{failures: map[string]error{}}
	listening := httptest.NewUnstartedServer(nil)
	server := New(Config{Machine: n, Groups: n, Ports: n, Connections: listening.Config, Log: slog.New(slog.DiscardHandler)})
	listening.Config.Handler = server
	listening.Start()
	defer server.Close()
	defer listening.Close()
	var dialled int
	transport := &http.Transport{DialContext: countDials(&dialled)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ask := func(method, path string) {
		request, err := http.NewRequestWithContext(t.Context(), method, listening.URL+path, bytes.NewReader(nil))
		require.NoError(t, err)
		response, err := client.Do(request)
		require.NoError(t, err)
		response.Body.Close()
	}
	ask(http.MethodGet, "/health")
	ask(http.MethodGet, "/health")
	require.Equal(t, 1, dialled)
	ask(http.MethodPost, "/snapshot/prepare")
	ask(http.MethodGet, "/health")
	ask(http.MethodGet, "/health")
	require.Equal(t, 3, dialled, "no connection outlives its answer")
}
