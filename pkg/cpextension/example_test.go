package cpextension_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"testing/fstest"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// Trial lets teams try only so many sandboxes.
type Trial struct{ server *cpextension.ServerContext }

// The compiler says if a method does not have the form that the server looks for.
var (
	_ cpextension.Extension   = (*Trial)(nil)
	_ cpextension.Migrator    = (*Trial)(nil)
	_ cpextension.Starter     = (*Trial)(nil)
	_ cpextension.Router      = (*Trial)(nil)
	_ cpextension.CreateGuard = (*Trial)(nil)
)

func (t *Trial) Name() string { return "trial" }

// Migrations are files that are embedded; here there is one, for all to see.
func (t *Trial) Migrations() fs.FS {
	return fstest.MapFS{"00001_trial.sql": {Data: []byte("-- +goose Up\nCREATE TABLE trial_teams (team_id uuid PRIMARY KEY);\n")}}
}

func (t *Trial) Start(_ context.Context, server *cpextension.ServerContext) error {
	t.server = server
	return nil
}

func (t *Trial) Routes(routes cpextension.Routes) {
	routes.Team(auth.UsageRead).Get("/used", func(w http.ResponseWriter, r *http.Request) {
		has, err := t.server.Usage.Has(r.Context(), auth.PrincipalOf(r.Context()).TeamID)
		if err != nil {
			t.server.Fail(w, r, err)
			return
		}
		_, _ = fmt.Fprintln(w, has.Sandboxes)
	})
}

func (t *Trial) BeforeCreate(_ context.Context, wanted sandboxes.Creation) error {
	if wanted.Count > 1 {
		return cpextension.AskForPayment("a trial has one sandbox at a time, not %d", wanted.Count)
	}
	return nil
}

// An extension is a type with a name, and with more methods for all else that it
// does. cpserver.WithExtensions takes it.
func Example() {
	trial := &Trial{}
	fmt.Println(trial.BeforeCreate(context.Background(), sandboxes.Creation{Count: 3}))
	// Output: a trial has one sandbox at a time, not 3
}
