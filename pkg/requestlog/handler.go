package requestlog

import (
	"context"
	"log/slog"
	"maps"
)

// The keys of the attributes.
const (
	requestKey = "request"
	teamKey    = "team"
	sandboxKey = "sandbox"
)

// handler adds what its context's request has. What a caller has named itself by the
// same key is left as it is.
type handler struct {
	slog.Handler
	named map[string]bool // keys that WithAttrs was given
}

// NewHandler returns a handler that adds the ID, team and sandbox of a context's
// request to each record. A handler that does so already is returned as it is.
func NewHandler(next slog.Handler) slog.Handler {
	if done, is := next.(*handler); is {
		return done
	}
	return &handler{Handler: next}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	r := of(ctx)
	if r == nil {
		return h.Handler.Handle(ctx, record)
	}
	named := maps.Clone(h.named)
	record.Attrs(func(attr slog.Attr) bool {
		named = with(named, attr.Key)
		return true
	})
	team, sandbox := r.fields()
	for _, attr := range []slog.Attr{slog.String(requestKey, r.id), slog.String(teamKey, team), slog.String(sandboxKey, sandbox)} {
		if attr.Value.String() != "" && !named[attr.Key] {
			record.AddAttrs(attr)
		}
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := maps.Clone(h.named)
	for _, attr := range attrs {
		named = with(named, attr.Key)
	}
	return &handler{Handler: h.Handler.WithAttrs(attrs), named: named}
}

// WithGroup implements slog.Handler. What is added to a record stands in the group.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{Handler: h.Handler.WithGroup(name)}
}

func with(keys map[string]bool, key string) map[string]bool {
	if keys == nil {
		keys = map[string]bool{}
	}
	keys[key] = true
	return keys
}
