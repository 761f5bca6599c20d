package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Channels is the service behind the routes of channels.
type Channels interface {
	Create(ctx context.Context, teamID uuid.UUID, wanted channels.NewChannel) (channels.Channel, error)
	List(ctx context.Context, teamID uuid.UUID) ([]channels.Channel, error)
	Get(ctx context.Context, teamID, channelID uuid.UUID) (channels.Channel, error)
	Update(ctx context.Context, teamID, channelID uuid.UUID, change channels.Change) (channels.Channel, error)
	Delete(ctx context.Context, teamID, channelID uuid.UUID) error
	Test(ctx context.Context, teamID, channelID uuid.UUID) (channels.Delivery, error)
	Deliveries(ctx context.Context, teamID, channelID uuid.UUID, page channels.DeliveryPage) ([]channels.Delivery, error)
	Redeliver(ctx context.Context, teamID, channelID, deliveryID uuid.UUID, hiddenKinds []string) (channels.Delivery, error)
}

func (s *Server) routeChannels(router chi.Router) {
	router.Get("/channels", s.handle(s.listChannels))
	router.Post("/channels", s.handle(s.createChannel))
	router.Get("/channels/{channelID}", s.handle(s.getChannel))
	router.Patch("/channels/{channelID}", s.handle(s.updateChannel))
	router.Delete("/channels/{channelID}", s.handle(s.deleteChannel))
	router.Post("/channels/{channelID}/test", s.handle(s.testChannel))
	router.Get("/channels/{channelID}/deliveries", s.handle(s.listDeliveries))
	router.Post("/channels/{channelID}/deliveries/{deliveryID}/redeliver", s.handle(s.redeliver))
}

func (s *Server) listChannels(w http.ResponseWriter, r *http.Request) error {
	listed, err := s.Channels.List(r.Context(), teamOf(r))
	return answer(w, http.StatusOK, listed, err)
}

func (s *Server) createChannel(w http.ResponseWriter, r *http.Request) error {
	var wanted channels.NewChannel
	if err := decode(r, &wanted); err != nil {
		return err
	}
	wanted.HiddenKinds = hiddenFrom(r)
	if err := refuseHidden(wanted.EventTypes, wanted.HiddenKinds); err != nil {
		return err
	}
	made, err := s.Channels.Create(r.Context(), teamOf(r), wanted)
	if err == nil {
		audit.SetResource(r.Context(), made.ID.String())
	}
	return answer(w, http.StatusCreated, made, err)
}

func (s *Server) getChannel(w http.ResponseWriter, r *http.Request) error {
	channelID, err := idOf(r, "channelID", "channel")
	if err != nil {
		return err
	}
	channel, err := s.Channels.Get(r.Context(), teamOf(r), channelID)
	return answer(w, http.StatusOK, channel, err)
}

func (s *Server) updateChannel(w http.ResponseWriter, r *http.Request) error {
	var change channels.Change
	if err := decode(r, &change); err != nil {
		return err
	}
	change.HiddenKinds = hiddenFrom(r)
	if err := refuseHidden(orDefault(change.EventTypes, nil), change.HiddenKinds); err != nil {
		return err
	}
	channelID, err := idOf(r, "channelID", "channel")
	if err != nil {
		return err
	}
	changed, err := s.Channels.Update(r.Context(), teamOf(r), channelID, change)
	return answer(w, http.StatusOK, changed, err)
}

func (s *Server) deleteChannel(w http.ResponseWriter, r *http.Request) error {
	channelID, err := idOf(r, "channelID", "channel")
	if err != nil {
		return err
	}
	return noContent(w, s.Channels.Delete(r.Context(), teamOf(r), channelID))
}

func (s *Server) testChannel(w http.ResponseWriter, r *http.Request) error {
	if err := decode(r, &struct{}{}); err != nil {
		return err
	}
	channelID, err := idOf(r, "channelID", "channel")
	if err != nil {
		return err
	}
	delivery, err := s.Channels.Test(r.Context(), teamOf(r), channelID)
	return answer(w, http.StatusAccepted, delivery, err)
}

func (s *Server) redeliver(w http.ResponseWriter, r *http.Request) error {
	if err := decode(r, &struct{}{}); err != nil {
		return err
	}
	channelID, err := idOf(r, "channelID", "channel")
	if err != nil {
		return err
	}
	deliveryID, err := idOf(r, "deliveryID", "delivery")
	if err != nil {
		return err
	}
	delivery, err := s.Channels.Redeliver(r.Context(), teamOf(r), channelID, deliveryID, hiddenFrom(r))
	return answer(w, http.StatusAccepted, delivery, err)
}

func (s *Server) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	channelID, err := idOf(r, "channelID", "channel")
	if err != nil {
		return err
	}
	query := r.URL.Query()
	page := channels.DeliveryPage{State: channels.DeliveryState(query.Get("state")), HiddenKinds: hiddenFrom(r)}
	switch page.State {
	case "", channels.Pending, channels.Delivered, channels.Dead:
	default:
		return fault.New(fault.Invalid, "state must be pending, delivered or dead")
	}
	limit, err := pageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	if token := query.Get("nextToken"); token != "" {
		if page.Before, err = parseDeliveryToken(token); err != nil {
			return err
		}
	}
	page.Limit = limit + 1
	deliveries, err := s.Channels.Deliveries(r.Context(), teamOf(r), channelID, page)
	if err != nil {
		return err
	}
	if len(deliveries) > limit {
		deliveries = deliveries[:limit]
		w.Header().Set("X-Next-Token", deliveryToken(deliveries[limit-1]))
	}
	writeJSON(w, http.StatusOK, deliveries)
	return nil
}

func deliveryToken(last channels.Delivery) string {
	return base64.RawURLEncoding.EncodeToString([]byte(last.CreatedAt.Format(time.RFC3339Nano) + " " + last.ID.String()))
}

func parseDeliveryToken(token string) (*channels.Delivery, error) {
	refusal := fault.New(fault.Invalid, "nextToken is not one that was given out")
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, refusal
	}
	at, id, _ := strings.Cut(string(text), " ")
	last := new(channels.Delivery)
	if last.CreatedAt, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return nil, refusal
	}
	if last.ID, err = uuid.Parse(id); err != nil {
		return nil, refusal
	}
	return last, nil
}

// answer writes a value, unless there is an error in its place.
func answer(w http.ResponseWriter, status int, value any, err error) error {
	if err != nil {
		return err
	}
	writeJSON(w, status, value)
	return nil
}
