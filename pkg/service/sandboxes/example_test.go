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

// The server sets Guard to the guards of its extensions. A program that uses the service
// by itself sets it like this.
func ExampleGuard() {
	service := &sandboxes.Service{Guard: smallOnly{}}

	wanted := sandboxes.Creation{Count: 3}
	wanted.Each.VCPUs = 2
	fmt.Println(service.Guard.BeforeCreate(context.Background(), wanted))
	// Output: at most 4 vCPUs may be asked for at once
}
