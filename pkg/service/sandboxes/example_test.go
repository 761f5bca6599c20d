package sandboxes_test

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// smallOnly lets teams have only few sandboxes at a time.
type smallOnly struct{ sandboxes.AllowAll }

func (smallOnly) BeforeCreate(_ context.Context, wanted sandboxes.Creation) error {
	const most = 4
	if wanted.Each.VCPUs*int64(wanted.Count) > most {
		return fault.New(fault.Forbidden, "at most %d vCPUs may be asked for at once", most)
	}
	return nil
}

func (smallOnly) BeforeResume(context.Context, sandboxes.Resumption) error { return nil }

// The server passes the guards of its extensions to New. A program that uses the service
// by itself passes its own.
func ExampleGuard() {
	var guard sandboxes.Guard = smallOnly{}

	wanted := sandboxes.Creation{Count: 3}
	wanted.Each.VCPUs = 2
	fmt.Println(guard.BeforeCreate(context.Background(), wanted))
	// Output: at most 4 vCPUs may be asked for at once
}
