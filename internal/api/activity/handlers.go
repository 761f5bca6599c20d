// Package activity answers the routes of what has happened: events, the channels that
// deliver them, and the audit log.
package activity

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// AuditLog is where requests are written down.
type AuditLog interface {
	List(ctx context.Context, query audit.Query) ([]audit.Entry, error)
	ExportJSONLines(ctx context.Context, query audit.Query, to io.Writer) error
	ExportCSV(ctx context.Context, query audit.Query, to io.Writer) error
}

// Handlers answers the routes.
type Handlers struct {
	Events   *Events
	Channels Channels
	Audit    AuditLog
	// Authorize finds the principal of a request again, as its route's rule asks.
	Authorize func(r *http.Request) (auth.Principal, error)
	// Stopping is closed when the server takes no more requests.
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
