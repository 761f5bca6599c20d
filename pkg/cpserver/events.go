package cpserver

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/activity"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// expireEvery is how often what is older than its retention is deleted.
const expireEvery = time.Hour

// followEvents makes what has happened readable, follows what happens, and
// writes down who does what.
func (s *server) followEvents(ctx context.Context) error {
	bus, err := events.NewBus(ctx, s.config.DatabaseURL, s.pool, s.log)
	if err != nil {
		return err
	}
	s.events = bus
	s.api.Events = &activity.Events{Log: events.NewLog(s.pool), Bus: bus}
	written := audit.NewLog(s.pool)
	s.api.Audit, s.api.Access.Audit = written, written
	s.parts.Background("follow events", bus.Run, s.expire)
	return nil
}

// expire deletes what is older than its retention. Replicas may all do so: who
// comes second finds nothing.
func (s *server) expire(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		for name, expire := range s.expirations() {
			if deleted, err := expire(ctx, time.Now()); err != nil && ctx.Err() == nil {
				s.log.Warn("delete what is too old", "of", name, "error", err)
			} else if deleted > 0 {
				s.log.Info("deleted what is too old", "of", name, "count", deleted)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// expirations are what is kept for a time only. A retention of zero keeps it.
func (s *server) expirations() map[string]func(context.Context, time.Time) (int64, error) {
	return map[string]func(context.Context, time.Time) (int64, error){
		"events": func(ctx context.Context, now time.Time) (int64, error) {
			if s.config.EventRetention == 0 {
				return 0, nil
			}
			return events.NewLog(s.pool).Expire(ctx, now.Add(-s.config.EventRetention))
		},
		"deliveries": func(ctx context.Context, now time.Time) (int64, error) {
			if s.config.EventRetention == 0 {
				return 0, nil
			}
			return channels.ExpireDeliveries(ctx, s.pool, now.Add(-s.config.EventRetention))
		},
		"audit": func(ctx context.Context, now time.Time) (int64, error) {
			if s.config.AuditRetention == 0 {
				return 0, nil
			}
			return audit.NewLog(s.pool).Expire(ctx, now.Add(-s.config.AuditRetention))
		},
	}
}
