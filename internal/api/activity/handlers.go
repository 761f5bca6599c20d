// Package activity has the handlers of events, of the channels that deliver them, and of
// the audit log.
package activity

import (
	"context"
	"iter"
	"log/slog"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// AuditLog lists audit entries.
type AuditLog interface {
	List(ctx context.Context, query audit.Query) ([]audit.Entry, error)
	All(ctx context.Context, query audit.Query) iter.Seq2[audit.Entry, error]
}

// Handlers has what the handlers use.
type Handlers struct {
	Events   *Events
	Channels Channels
	Audit    AuditLog
	// Authorize authorizes a request again, and returns its principal.
	Authorize func(r *http.Request) (auth.Principal, error)
	// Stopping is closed when the server refuses new requests.
	Stopping <-chan struct{}
	Log      *slog.Logger
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	router.Get("/events", h.getTeamEvents)
	router.Get("/admin/events", h.getAnyEvents)
	router.Get("/audit", h.getTeamAudit)
	router.Get("/admin/audit", h.getAnyAudit)
	router.Get("/channels", h.listChannels)
	router.Post("/channels", h.createChannel)
	router.Get("/channels/{channelID}", h.getChannel)
	router.Patch("/channels/{channelID}", h.updateChannel)
	router.Delete("/channels/{channelID}", h.deleteChannel)
	router.Post("/channels/{channelID}/test", h.testChannel)
	router.Get("/channels/{channelID}/deliveries", h.listDeliveries)
	router.Post("/channels/{channelID}/deliveries/{deliveryID}/redeliver", h.redeliver)
}
