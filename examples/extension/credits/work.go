package credits

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// chargeEvery is how late a charge can be of which no event has told.
const chargeEvery = time.Minute

// started are the events that cost a credit.
var started = events.Filter{Types: []string{string(events.SandboxStarted)}}

// Wanted are the events to hear of.
func (e *Extension) Wanted() events.Filter { return started }

// OnEvent only wakes the worker, which reads the events from the log: there none
// is missing and none comes twice.
func (e *Extension) OnEvent(context.Context, events.Event) error {
	select {
	case e.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// Workers charge.
func (e *Extension) Workers() []cpextension.Worker {
	return []cpextension.Worker{{Name: "charging", Run: e.work}}
}

func (e *Extension) work(ctx context.Context) error {
	tick := time.NewTicker(chargeEvery)
	defer tick.Stop()
	for {
		teams, err := e.teams(ctx)
		if err != nil {
			return err // the server tries again
		}
		for _, team := range teams {
			credits, err := e.charge(ctx, team)
			if err != nil {
				return err
			}
			e.server.Log.Debug("charged", "team", team, "left", credits)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-tick.C:
		}
	}
}
