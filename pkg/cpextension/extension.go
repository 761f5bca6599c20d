// Package cpextension is how another module adds to the control plane: routes,
// tables, background work, reactions to events, vetoes, pages of the dashboard.
//
// An extension is anything with a Name. What else it does it says by implementing
// more of this package's interfaces, which the server looks for:
//
//	Required     the server must not run without it
//	Migrator     tables of its own
//	Starter      takes the server's services and gets ready
//	BeforeAuth   sees every request of the control API first
//	AfterAuth    sees every request that was let in
//	Router       routes of its own
//	Pager        pages of the dashboard
//	CreateGuard  may refuse new sandboxes
//	ResumeGuard  may refuse to bring paused sandboxes back
//	BuildGuard   may refuse builds of templates
//	Subscriber   hears of what happens
//	Background   works for as long as the server runs
//	Stopper      cleans up
//
// A method that is misspelt is not found and has no effect, so let the compiler
// look, too:
//
//	var _ cpextension.CreateGuard = (*Billing)(nil)
//
// # Life
//
// Each step is taken for all extensions, in the order in which they were given to
// cpserver.WithExtensions, before the next one.
//
//  1. Migrations are applied, and Start is called. The services work, nothing is
//     served yet.
//  2. Routes, Pages, Workers and Wanted are asked for, and the middlewares are made.
//  3. The server listens. Events begin to be handed out, background work begins.
//  4. When the server stops it first answers the requests under way, then ends
//     the contexts of background work and of handlers of events and waits for
//     them, then calls Stop, in the reverse order.
//
// # Failure
//
// An extension that fails to get that far (an error, a panic, or more than the
// time that it has) does not keep the server from starting, unless it is Required:
// then the start fails with its name. Without it, its routes answer 503, its
// middlewares are left out, and its guards refuse everything: what would have been
// asked cannot be answered. Later a panic costs the request, the event or, for a
// while, the background work in which it happens. GET /admin/extensions and the
// log tell of all of it.
//
// A panic in a goroutine that an extension starts by itself ends the process, as
// in every Go program: that is what Background is for.
package cpextension

import (
	"context"
	"io/fs"
	"time"
)

// The times that extensions have. What takes longer is left behind.
const (
	// StartTimeout is for Start, without the migrations.
	StartTimeout = 30 * time.Second
	// GuardTimeout is for each question to a guard.
	GuardTimeout = 5 * time.Second
	// StopTimeout is for background work to end, and for Stop.
	StopTimeout = 10 * time.Second
)

// Extension is a part of the control plane that was not built with it.
type Extension interface {
	// Name is a lower-case letter and up to 30 more, digits or underscores. It is a
	// part of addresses (/extensions/{name}/...), of the name of the migrations'
	// table and of actions in the audit log, so it must never change. No two
	// extensions of a server have the same.
	Name() string
}

// Required is an extension that says whether the server may run without it.
type Required interface {
	// Required makes the server's start fail where the extension's does.
	Required() bool
}

// Guarding is an extension that says whether its middlewares (BeforeAuth, AfterAuth)
// protect something.
type Guarding interface {
	// Guarding makes the server refuse all requests that the middlewares would see, with
	// 503, while the extension does not run. Without it they bypass the middlewares then.
	Guarding() bool
}

// Migrator is an extension with tables. They are in the control plane's database,
// so begin their names with the extension's, and refer to the control plane's own
// tables with care: a foreign key keeps it from deleting.
type Migrator interface {
	// Migrations are goose's SQL files, at the root. Any number of replicas may
	// start together: one migrates, the others wait.
	Migrations() fs.FS
}

// Starter is an extension that has to get ready.
type Starter interface {
	// Start takes what the server has. ctx ends when Start returns.
	Start(ctx context.Context, server *ServerContext) error
}

// Stopper is an extension that has something to clean up.
type Stopper interface {
	// Stop is called once after a Start that succeeded, when nothing else of the
	// extension runs any more.
	Stop(ctx context.Context) error
}
