// Package cpextension is the API of extensions of the control plane. An extension is in
// another module and adds routes, tables, background work, event subscribers, vetoes,
// ways to sign in and pages of the dashboard.
//
// An extension is a type with a Name. The server finds by type assertion which of the
// other interfaces of this package it implements:
//
//	Required       the server must not run without it
//	Guarding       its middlewares must not be bypassed
//	Configured     a configuration of its own
//	Migrator       tables of its own
//	Starter        takes the server's services and gets ready
//	BeforeAuth     a middleware for all requests of the control API
//	AfterAuth      a middleware for authorized requests
//	Router         routes of its own
//	Describer      descriptions of its routes in the OpenAPI document
//	Pager          pages of the dashboard
//	CreateGuard    may refuse new sandboxes
//	ForkGuard      may refuse forks
//	ResumeGuard    may refuse resumes
//	PauseGuard     may refuse pauses
//	KillGuard      may refuse kills
//	SnapshotGuard  may refuse snapshots
//	NetworkGuard   may refuse updates of network policies
//	SecretGuard    may refuse the use of secrets
//	BuildGuard     may refuse builds of templates
//	Subscriber     handles events
//	Background     works for as long as the server runs
//	JobQueues      job queues of its own
//	Stopper        cleans up
//
// A misspelt method is not found and has no effect. The compiler finds it with
//
//	var _ cpextension.CreateGuard = (*Billing)(nil)
//
// # Life
//
// Each step is done for all extensions, in the order in which they were given to
// cpserver.WithExtensions, before the next step.
//
//  1. Configurations are read, together with the control plane's.
//  2. Migrations are applied, and Start is called. The services work, the server does not
//     listen yet.
//  3. Routes, Pages, Describe, JobQueues, Workers and Wanted are called, and the
//     middlewares are made.
//  4. The server listens. Event subscribers and background work start.
//  5. When the server stops, it first answers the requests in progress, then cancels the
//     contexts of background work and event subscribers and waits for them, then calls
//     Stop, in reverse order.
//
// # Failure
//
// An extension that fails in steps 2 or 3 (an error, a panic, or a timeout) does not keep
// the server from starting, unless it is Required: then the start fails with its name.
// While an extension does not run, its routes answer 503, its guards refuse everything,
// and its middlewares are bypassed, or refuse everything if it is Guarding. Later, a
// panic costs the request, the event or the run of background work in which it happens.
// GET /admin/extensions and the log show all failures.
//
// A panic in a goroutine that an extension starts by itself ends the process, as in every
// Go program; Background exists for such work.
package cpextension

import (
	"context"
	"io/fs"
	"time"
)

// The timeouts of calls to extensions. Go cannot end a call: one that takes longer goes on
// in the background.
const (
	// StartTimeout is for Start, without the migrations.
	StartTimeout = 30 * time.Second
	// GuardTimeout is for each call of a guard.
	GuardTimeout = 5 * time.Second
	// StopTimeout is for background work to end, and for Stop.
	StopTimeout = 10 * time.Second
)

// Extension is a part of the control plane that is in another module.
type Extension interface {
	// Name is a lower-case letter and up to 30 lower-case letters, digits or underscores,
	// unique among the extensions of a server. It is a part of paths
	// (/extensions/{name}/...), of the name of the migrations' table and of actions in the
	// audit log, so it must never change.
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

// Configured is an extension with settings of its own.
type Configured interface {
	// Configuration returns a pointer to a struct whose tags package settings reads. The
	// struct is filled from the environment before Start, together with the control
	// plane's own settings: what is wrong with any of them ends the start. The names of
	// variables should begin with WRENN_ and the extension's name.
	Configuration() any
}

// Migrator is an extension with tables. They are in the control plane's database, so
// their names should begin with the extension's. A foreign key to a table of the control
// plane prevents deletes there.
type Migrator interface {
	// Migrations returns goose's SQL files, at the root. If several control planes start
	// together, one migrates and the others wait.
	Migrations() fs.FS
}

// Starter is an extension that uses the server.
type Starter interface {
	// Start gets the server. ctx ends when Start returns.
	Start(ctx context.Context, server *ServerContext) error
}

// Stopper is an extension that cleans up.
type Stopper interface {
	// Stop is called once after a Start that succeeded, when no other call of the
	// extension is in progress.
	Stop(ctx context.Context) error
}
