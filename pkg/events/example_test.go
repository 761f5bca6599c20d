package events_test

import (
	"context"
	"errors"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// An extension counts the sandboxes that were killed. Where it was too slow it
// starts over, and could read from a Log what it has missed.
func ExampleBus_Subscribe() {
	count := func(ctx context.Context, bus *events.Bus) {
		killed := 0
		for {
			subscription := bus.Subscribe(ctx, events.Filter{Types: []string{"sandbox.killed", "sandbox.expired"}})
			for range subscription.Events() {
				killed++
			}
			if !errors.Is(subscription.Err(), events.ErrTooSlow) {
				fmt.Println(killed)
				return
			}
		}
	}
	_ = count
}

// A filter selects by type, all of a kind where it ends in a star.
func ExampleFilter_Matches() {
	filter := events.Filter{Types: []string{"sandbox.*", "key.revoked"}}
	fmt.Println(filter.Matches(events.Event{Type: events.SandboxPaused}))
	fmt.Println(filter.Matches(events.Event{Type: events.KeyCreated}))
	// Output:
	// true
	// false
}
