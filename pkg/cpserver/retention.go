package cpserver

import (
	"context"
	"log/slog"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
)

// expireEvery is how often rows that are older than their retention are deleted.
const expireEvery = time.Hour

// retention deletes rows of events, deliveries, logs of builds and the audit log that are
// too old. Any number of control planes may do so at once.
type retention struct {
	log   *slog.Logger
	rules []retentionRule
}

type retentionRule struct {
	what string
	age  time.Duration // 0 keeps all
	// expire deletes rows from before a time and returns how many.
	expire func(ctx context.Context, before time.Time) (int64, error)
}

func newRetention(b *base, s *services) *retention {
	return &retention{log: b.Log, rules: []retentionRule{
		{"events", b.Config.EventRetention, events.NewLog(b.Pool).Expire},
		{"deliveries", b.Config.EventRetention, func(ctx context.Context, before time.Time) (int64, error) {
			return channels.ExpireDeliveries(ctx, b.Pool, before)
		}},
		{"logs of builds", builds.LogsKept, s.builds.ExpireLogs},
		{"audit log", b.Config.AuditRetention, audit.NewLog(b.Pool).Expire},
	}}
}

func (r *retention) run(ctx context.Context) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		for _, rule := range r.rules {
			if rule.age > 0 {
				r.apply(ctx, rule)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *retention) apply(ctx context.Context, rule retentionRule) {
	deleted, err := rule.expire(ctx, time.Now().Add(-rule.age))
	switch {
	case err != nil && ctx.Err() == nil:
		r.log.WarnContext(ctx, "delete expired rows", "of", rule.what, "error", err)
	case deleted > 0:
		r.log.InfoContext(ctx, "deleted expired rows", "of", rule.what, "count", deleted)
	}
}
