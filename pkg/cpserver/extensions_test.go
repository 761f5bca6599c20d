package cpserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// extended is a control plane with extensions and an admin token.
func extended(t *testing.T, extensions ...cpextension.Extension) *controlPlane {
	t.Helper()
	p := setUp(t, http.NotFoundHandler())
	p.hasAdmin(t)
	p.extras = []cpserver.Option{cpserver.WithExtensions(extensions...)}
	return p
}

// state is what the admin is told of an extension.
type state struct {
	Name, State string
	Required    bool
	Failures    int64
	LastFailure *struct{ Doing, Message string }
	Pages       []struct{ Title, Path string }
}

func (p *controlPlane) extension(t *testing.T, name string) state {
	t.Helper()
	got := p.send(t, http.MethodGet, "/admin/extensions", "", http.Header{"X-Admin-Token": {adminToken}})
	requireStatus(t, http.StatusOK, got)
	var all []state
	got.decode(t, &all)
	for _, one := range all {
		if one.Name == name {
			return one
		}
	}
	require.Fail(t, "there is no such extension", "%s", got.body)
	return state{}
}

// named is an extension that does nothing.
type named string

func (n named) Name() string { return string(n) }

// wild panics wherever it can.
type wild struct {
	named
	worked, heard atomic.Int32
}

func (w *wild) Workers() []cpextension.Worker {
	return []cpextension.Worker{{Name: "going wild", Run: func(ctx context.Context) error {
		if w.worked.Add(1) == 1 {
			panic("in a worker")
		}
		<-ctx.Done()
		return nil
	}}}
}

func (w *wild) Wanted() events.Filter { return events.Filter{Types: []string{"sandbox.*"}} }

func (w *wild) OnEvent(context.Context, events.Event) error {
	if w.heard.Add(1) == 1 {
		panic("in a handler of events")
	}
	return nil
}

func (w *wild) Routes(routes cpextension.Routes) {
	routes.Public().Get("/wild", func(http.ResponseWriter, *http.Request) { panic("in a route") })
	routes.Public().Post("/half", func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = answer.Write([]byte(`{"half": `))
		panic("in an answer")
	})
}

func (w *wild) BeforeAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wild") != "" {
			panic("in a middleware")
		}
		next.ServeHTTP(answer, r)
	})
}

func TestExtension_ThatPanicsHurtsNobodyElse(t *testing.T) {
	t.Parallel()
	extension := &wild{named: "wild"}
	p := extended(t, extension)
	p.start(t)
	eventually(t, "the worker runs again", func() bool { return extension.worked.Load() == 2 })
	p.create(t, `{"templateID":"base"}`)
	eventually(t, "events come in behind the panic", func() bool { return extension.heard.Load() >= 2 })
	requireStatus(t, http.StatusInternalServerError, p.do(t, http.MethodGet, "/extensions/wild/wild", ""))
	_, err := p.trySend(http.MethodPost, "/extensions/wild/half", "")
	require.Error(t, err, "half an answer must not look like a whole one")
	header := http.Header{"X-Api-Key": {p.key}, "X-Wild": {"yes"}}
	requireStatus(t, http.StatusInternalServerError, p.send(t, http.MethodGet, "/v2/sandboxes", "", header))
	requireStatus(t, http.StatusNoContent, p.send(t, http.MethodGet, "/health", "", header))
	requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/v2/sandboxes", ""))
	told := p.extension(t, "wild")
	require.Equal(t, "running", told.State)
	require.EqualValues(t, 5, told.Failures)
	require.Equal(t, "panic: in a middleware", told.LastFailure.Message)
}

// unready cannot start.
type unready struct {
	named
	required bool
	start    func() error
}

func (u unready) Required() bool { return u.required }

func (u unready) Start(context.Context, *cpextension.ServerContext) error { return u.start() }

func (u unready) Routes(routes cpextension.Routes) {
	routes.Public().Get("/", func(http.ResponseWriter, *http.Request) {})
}

// strict must be asked, too.
type strict struct{ unready }

func (strict) BeforeCreate(context.Context, sandboxes.Creation) error { return nil }

// tables has migrations that cannot be applied.
type tables struct{ named }

func (tables) Migrations() fs.FS {
	return fstest.MapFS{"00001_wrong.sql": {Data: []byte("-- +goose Up\nCREATE TABLE wrong (id nothing);\n")}}
}

// lost has a route that chi does not take.
type lost struct{ named }

func (lost) Routes(routes cpextension.Routes) {
	routes.Public().Get("no/slash", func(http.ResponseWriter, *http.Request) {})
}

func TestExtension_ThatDoesNotStartIsLeftOut(t *testing.T) {
	t.Parallel()
	p := extended(t, tables{"tables"}, lost{"lost"}, unready{named: "broken", start: func() error { return errors.New("no licence") }},
		unready{named: "wild", start: func() error { panic("at the start") }}, named("well"))
	p.start(t)
	require.Equal(t, "failed", p.extension(t, "broken").State)
	require.Equal(t, "no licence", p.extension(t, "broken").LastFailure.Message)
	require.Equal(t, "panic: at the start", p.extension(t, "wild").LastFailure.Message)
	require.Contains(t, p.extension(t, "tables").LastFailure.Message, `type "nothing" does not exist`)
	require.Contains(t, p.extension(t, "lost").LastFailure.Message, "no/slash")
	require.Equal(t, "running", p.extension(t, "well").State)
	requireStatus(t, http.StatusServiceUnavailable, p.do(t, http.MethodGet, "/extensions/broken/", ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/extensions/well/", ""))
	p.create(t, `{"templateID":"base"}`)
}

func TestExtension_ThatMustBeAskedAndDidNotStartAllowsNothing(t *testing.T) {
	t.Parallel()
	p := extended(t, strict{unready{named: "billing", start: func() error { return errors.New("no bank") }}})
	p.start(t)
	refused := p.do(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
	requireStatus(t, http.StatusServiceUnavailable, refused)
	require.Contains(t, string(refused.body), "billing")
	require.Empty(t, p.agent.States())
}

func TestExtension_ThatIsRequiredIsNamedWhereItDoesNotStart(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string][]cpextension.Extension{
		"start extensions: extension billing: no bank": {
			unready{named: "billing", required: true, start: func() error { return errors.New("no bank") }},
		},
		"start extensions: two extensions have the name same": {named("same"), named("same")},
		`start extensions: an extension has the name "No-1"`:  {named("No-1")},
	} {
		p := extended(t, extensions...)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		err = cpserver.Run(t.Context(), append(p.extras, cpserver.WithConfig(p.config), cpserver.WithListener(listener),
			cpserver.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil))), cpserver.WithOutput(p))...)
		require.ErrorContains(t, err, name)
	}
}

// judge answers the questions of all guards as it is told, and remembers the last one.
type judge struct {
	named
	verdict atomic.Pointer[func() error]
	asked   atomic.Value
}

func (j *judge) say(verdict func() error) { j.verdict.Store(&verdict) }

func (j *judge) answer(wanted any) error {
	j.asked.Store(fmt.Sprintf("%T %+v", wanted, wanted))
	return (*j.verdict.Load())()
}

func (j *judge) BeforeCreate(_ context.Context, wanted sandboxes.Creation) error {
	return j.answer(wanted)
}

func (j *judge) BeforeFork(_ context.Context, wanted sandboxes.Forking) error {
	return j.answer(wanted)
}

func (j *judge) BeforeResume(_ context.Context, wanted sandboxes.Resumption) error {
	return j.answer(wanted)
}

func (j *judge) BeforePause(_ context.Context, wanted sandboxes.Pausing) error {
	return j.answer(wanted)
}

func (j *judge) BeforeKill(_ context.Context, wanted sandboxes.Killing) error {
	return j.answer(wanted)
}

func (j *judge) BeforeSnapshot(_ context.Context, wanted sandboxes.Snapshotting) error {
	return j.answer(wanted)
}

func (j *judge) BeforeNetworkUpdate(_ context.Context, wanted sandboxes.NetworkUpdate) error {
	return j.answer(wanted)
}

func TestGuard_TellsTheClientWhy(t *testing.T) {
	t.Parallel()
	guard := &judge{named: "judge"}
	p := extended(t, guard)
	p.start(t)
	guard.say(func() error { return nil })
	running := "/sandboxes/" + p.create(t, `{"templateID":"base"}`).SandboxID
	paused := "/sandboxes/" + p.create(t, `{"templateID":"base"}`).SandboxID
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, paused+"/pause", ""))
	operations := []struct{ method, path, body, asked string }{
		{http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`, "sandboxes.Creation"},
		{http.MethodPost, running + "/fork", "{}", "sandboxes.Forking"},
		{http.MethodPost, paused + "/resume", "{}", "sandboxes.Resumption"},
		{http.MethodPost, "/v2" + paused + "/connect", "{}", "sandboxes.Resumption"},
		{http.MethodPost, running + "/pause", "", "sandboxes.Pausing"},
		{http.MethodDelete, running, "", "sandboxes.Killing"},
		{http.MethodPost, running + "/snapshots", "{}", "sandboxes.Snapshotting"},
		{http.MethodPut, running + "/network", `{"denyOut":["203.0.113.0/24"]}`, "sandboxes.NetworkUpdate"},
	}
	failures := 0
	for name, test := range map[string]struct {
		verdict func() error
		status  int
		says    string
	}{
		"a veto":               {func() error { return cpextension.Forbid("not you") }, http.StatusForbidden, "not you"},
		"a bill":               {func() error { return cpextension.AskForPayment("pay %d", 5) }, http.StatusPaymentRequired, "pay 5"},
		"a request to wait":    {func() error { return cpextension.AskToWait(7e9, "wait") }, http.StatusTooManyRequests, "wait"},
		"an error":             {func() error { return errors.New("a secret of the bank") }, http.StatusServiceUnavailable, "judge"},
		"a panic":              {func() error { panic("a secret of the bank") }, http.StatusServiceUnavailable, "judge"},
		"a veto without value": {func() error { return (*cpextension.VetoError)(nil) }, http.StatusServiceUnavailable, "judge"},
	} {
		t.Run(name, func(t *testing.T) {
			guard.say(test.verdict)
			for _, operation := range operations {
				refused := p.do(t, operation.method, operation.path, operation.body)
				require.Equal(t, test.status, refused.status, "%s: %s", operation.path, refused.body)
				require.Contains(t, string(refused.body), test.says)
				require.NotContains(t, string(refused.body), "secret")
				require.Contains(t, guard.asked.Load(), operation.asked)
				if test.status == http.StatusTooManyRequests {
					require.Equal(t, "7", refused.header.Get("Retry-After"))
				}
				if test.status == http.StatusServiceUnavailable {
					failures++
				}
			}
		})
	}
	require.Len(t, p.agent.States(), 2)
	require.EqualValues(t, failures, p.extension(t, "judge").Failures)
	guard.say(func() error { return nil })
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, paused+"/resume", "{}"))
}

// custodian guards secrets.
type custodian struct {
	named
	asked atomic.Pointer[sandboxes.SecretUse]
}

func (c *custodian) BeforeSecretUse(_ context.Context, wanted sandboxes.SecretUse) error {
	c.asked.Store(&wanted)
	return cpextension.Forbid("no secrets today")
}

func TestSecretGuard_IsAskedBeforeASandboxGetsSecrets(t *testing.T) {
	t.Parallel()
	guard := &custodian{named: "custodian"}
	p := extended(t, guard)
	p.start(t)
	p.makeSecret(t, "API-key", "a value")
	s := p.create(t, `{"templateID":"base"}`)
	require.Nil(t, guard.asked.Load(), "a sandbox without secrets")
	for name, ask := range map[string]func() answer{
		"of a new sandbox": func() answer {
			return p.do(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base","network":`+referringNetwork+`}`)
		},
		"of an update": func() answer {
			return p.do(t, http.MethodPut, "/sandboxes/"+s.SandboxID+"/network", referringNetwork)
		},
	} {
		t.Run(name, func(t *testing.T) {
			guard.asked.Store(nil)
			refused := ask()
			requireStatus(t, http.StatusForbidden, refused)
			require.Contains(t, string(refused.body), "no secrets today")
			require.Equal(t, []string{"api-key"}, guard.asked.Load().Names)
			require.Contains(t, guard.asked.Load().Network.Rules, "api.example.com")
		})
	}
	require.Len(t, p.agent.States(), 1)
}

// office has routes for everybody and pages.
type office struct {
	named
	stopping <-chan struct{}
}

func (o *office) Start(_ context.Context, server *cpextension.ServerContext) error {
	o.stopping = server.Stopping
	return nil
}

func (o *office) Routes(routes cpextension.Routes) {
	routes.Public().Get("/stream", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-o.stopping
	})
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(auth.PrincipalOf(r.Context()).Kind + "!"))
	}
	routes.Public().Post("/public", answer)
	routes.User().Post("/user", answer)
	routes.Team(auth.SandboxWrite).Post("/team", answer)
	routes.Admin().Post("/admin", answer)
}

func (*office) Pages() []cpextension.Page {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })
	return []cpextension.Page{{Title: "Office", Path: "/desk", Handler: echo}, {Title: "Safe", Path: "/safe", Handler: echo, AdminOnly: true}}
}

// AfterAuth says in each answer who asks.
func (*office) AfterAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", string(auth.PrincipalOf(r.Context()).Kind)+"!")
		next.ServeHTTP(w, r)
	})
}

func TestRoutes_LetInWhomTheirScopeSays(t *testing.T) {
	t.Parallel()
	p := extended(t, &office{named: "office"})
	p.start(t)
	admin := http.Header{"X-Admin-Token": {adminToken}}
	key := http.Header{"X-Api-Key": {p.key}}
	for _, test := range []struct {
		path   string
		header http.Header
		status int
		seen   string
	}{
		{"/public", http.Header{}, http.StatusOK, "!"},
		{"/public", http.Header{"Origin": {"https://elsewhere.example"}}, http.StatusForbidden, ""},
		{"/user", http.Header{}, http.StatusUnauthorized, ""},
		{"/user", key, http.StatusForbidden, ""},
		{"/team", http.Header{}, http.StatusUnauthorized, ""},
		{"/team", http.Header{"X-Api-Key": {auth.NewKey()}}, http.StatusUnauthorized, ""},
		{"/team", key, http.StatusOK, "api_key!"},
		{"/admin", key, http.StatusForbidden, ""},
		{"/admin", admin, http.StatusOK, "admin_token!"},
		{"/desk", http.Header{}, http.StatusUnauthorized, ""},
		{"/safe/a/b", admin, http.StatusOK, "admin_token!"},
		{"/nowhere", key, http.StatusNotFound, ""},
	} {
		got := p.send(t, http.MethodPost, "/extensions/office"+test.path, "", test.header)
		require.Equal(t, test.status, got.status, "%s with %v: %s", test.path, test.header, got.body)
		require.Equal(t, test.seen, got.header.Get("X-Seen"), test.path)
		if test.path == "/safe/a/b" {
			require.Equal(t, "/a/b", string(got.body))
		}
	}
	require.Equal(t, "api_key!", p.do(t, http.MethodGet, "/v2/sandboxes", "").header.Get("X-Seen"), "the core's routes are seen, too")
	requireStatus(t, http.StatusMethodNotAllowed, p.do(t, http.MethodGet, "/extensions/office/team", ""))
	require.Len(t, p.extension(t, "office").Pages, 2)
	listed := p.send(t, http.MethodGet, "/admin/audit?action=office.*", "", admin)
	require.Contains(t, string(listed.body), `"office.public_create"`)
}

func TestRoutes_WithoutAnEndLearnThatTheServerStops(t *testing.T) {
	t.Parallel()
	p := extended(t, &office{named: "office"})
	p.start(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/extensions/office/stream", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, p.stop(), "the stop waits for the stream, and that for the stop")
	_, err = io.ReadAll(response.Body)
	require.NoError(t, err, "the stream has ended in order")
}
