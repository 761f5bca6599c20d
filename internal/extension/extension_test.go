package extension

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// builder guards builds as it is told.
type builder func(ctx context.Context) error

func (builder) Name() string { return "builder" }

func (b builder) BeforeBuild(ctx context.Context, _ templates.Building) error { return b(ctx) }

func (builder) Pages() []cpextension.Page { return nil }

func start(t *testing.T, extensions ...cpextension.Extension) (*Set, error) {
	t.Helper()
	set, err := New(slog.New(slog.NewTextHandler(t.Output(), nil)), extensions...)
	require.NoError(t, err)
	server := Server{Admit: func(auth.Rule) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler { return next }
	}}
	server.Context.Fail = func(w http.ResponseWriter, _ *http.Request, err error) {
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return set, set.Start(t.Context(), server)
}

func TestBeforeBuild_AsksTheExtensions(t *testing.T) {
	t.Parallel()
	set, err := start(t, builder(func(context.Context) error { return cpextension.AskForPayment("builds cost money") }))
	require.NoError(t, err)
	require.NoError(t, set.BeforeCreate(t.Context(), sandboxes.Creation{}), "who does not guard it is not asked")
	require.Equal(t, fault.PaymentRequired, fault.CodeOf(set.BeforeBuild(t.Context(), templates.Building{})))
}

func TestWithin_LeavesBehindWhatHangsAndLetsItNotPileUp(t *testing.T) {
	t.Parallel()
	set, err := start(t, builder(nil))
	require.NoError(t, err)
	i := set.instances[0]
	release := make(chan struct{})
	hang := func(context.Context) error {
		<-release
		return nil
	}
	for range callsAtOnce {
		require.ErrorIs(t, i.within(t.Context(), time.Millisecond, hang), context.DeadlineExceeded)
	}
	err = i.within(t.Context(), time.Millisecond, func(context.Context) error { return nil })
	require.ErrorContains(t, err, "256 calls are unanswered")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, i.settle(ended), "they still hang")
	close(release)
	require.NoError(t, i.settle(t.Context()))
}

func TestGuard_OfAClientThatLeavesIsNoFailure(t *testing.T) {
	t.Parallel()
	set, err := start(t, builder(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}))
	require.NoError(t, err)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	require.ErrorIs(t, set.BeforeBuild(ctx, templates.Building{}), context.Canceled)
	require.Zero(t, set.Statuses()[0].Failures)
}

// paged has a page.
type paged struct {
	builder
	page cpextension.Page
}

func (p paged) Pages() []cpextension.Page { return []cpextension.Page{p.page} }

func TestPages_AreCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	good := cpextension.Page{Title: "Good", Path: "/good", Handler: http.NotFoundHandler()}
	set, err := start(t, paged{page: good})
	require.NoError(t, err)
	require.Equal(t, []Page{{Title: "Good", Path: "/extensions/builder/good"}}, set.Pages(false))
	for _, change := range []func(*cpextension.Page){
		func(p *cpextension.Page) { p.Title = "" },
		func(p *cpextension.Page) { p.Path = "good" },
		func(p *cpextension.Page) { p.Path = "/{any}" },
		func(p *cpextension.Page) { p.Handler = nil },
	} {
		bad := good
		change(&bad)
		set, err := start(t, paged{page: bad})
		require.NoError(t, err)
		require.Equal(t, Failed, set.Statuses()[0].State, "%+v", bad)
		require.Empty(t, set.Pages(true))
	}
	good.AdminOnly = true
	set, err = start(t, paged{page: good})
	require.NoError(t, err)
	require.Empty(t, set.Pages(false))
	require.Len(t, set.Pages(true), 1)
}

// stopping remembers when it was stopped.
type stopping struct {
	name  string
	order *[]string
}

func (s stopping) Name() string { return s.name }

func (s stopping) Stop(context.Context) error {
	*s.order = append(*s.order, s.name)
	return errors.New("and says so")
}

func TestStop_GoesBackwards(t *testing.T) {
	t.Parallel()
	var order []string
	set, err := start(t, stopping{"first", &order}, stopping{"second", &order})
	require.NoError(t, err)
	set.Stop(t.Context())
	require.Equal(t, []string{"second", "first"}, order)
}
