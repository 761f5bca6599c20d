// Package credits lets teams pay for sandboxes: each one that starts takes a
// credit, and a team without any starts no more. It is an example of an extension
// of Wrenn's control plane.
package credits

import (
	"context"
	"embed"
	"io/fs"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
)

// The interfaces that the server is to find. The compiler says what is amiss.
var (
	_ cpextension.Extension   = (*Extension)(nil)
	_ cpextension.Required    = (*Extension)(nil)
	_ cpextension.Migrator    = (*Extension)(nil)
	_ cpextension.Starter     = (*Extension)(nil)
	_ cpextension.Router      = (*Extension)(nil)
	_ cpextension.AfterAuth   = (*Extension)(nil)
	_ cpextension.Pager       = (*Extension)(nil)
	_ cpextension.CreateGuard = (*Extension)(nil)
	_ cpextension.Subscriber  = (*Extension)(nil)
	_ cpextension.Background  = (*Extension)(nil)
)

//go:embed migrations/*.sql
var migrations embed.FS

// Extension is the extension.
type Extension struct {
	server *cpextension.ServerContext
	wake   chan struct{} // says that there is something to charge for
}

// New makes the extension.
func New() *Extension { return &Extension{wake: make(chan struct{}, 1)} }

// Name is where the routes are, /extensions/credits, and must never change.
func (e *Extension) Name() string { return "credits" }

// Required says that there must be no server that gives sandboxes away.
func (e *Extension) Required() bool { return true }

// Migrations make the table.
func (e *Extension) Migrations() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return files
}

// Start keeps what the server has.
func (e *Extension) Start(_ context.Context, server *cpextension.ServerContext) error {
	e.server = server
	return nil
}
