package scheduler_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// The scheduler proposes the emptier host first. Its room is taken, so the other one is
// proposed.
func ExampleScheduler() {
	room := scheduler.Resources{VCPUs: 64, MemoryMiB: 65536, DiskMiB: 100_000}
	needs := scheduler.Resources{VCPUs: 2, MemoryMiB: 1024, DiskMiB: 1024}
	empty, busy := uuid.MustParse("00000000-0000-0000-0000-00000000000a"), uuid.MustParse("00000000-0000-0000-0000-00000000000b")
	var chooser scheduler.Scheduler = scheduler.NewSpread(rand.New(rand.NewPCG(1, 2)))
	chooser.Observe([]scheduler.Host{
		{ID: empty, Capacity: room},
		{ID: busy, Capacity: room, Allocated: scheduler.Resources{VCPUs: 32, MemoryMiB: 32768}},
	})

	placed, err := chooser.Place(context.Background(), scheduler.Request{Needs: needs}, func(_ context.Context, hostID uuid.UUID) error {
		if hostID == empty {
			return scheduler.ErrTaken
		}
		return nil
	})
	fmt.Println(placed == busy, err)
	// Output: true <nil>
}
