package activity

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Channels is the service of channels.
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

func (h *Handlers) listChannels(w http.ResponseWriter, r *http.Request) error {
	listed, err := h.Channels.List(r.Context(), request.Team(r))
	if err != nil {
		return err
	}
	answer := make([]channelAnswer, 0, len(listed))
	for _, channel := range listed {
		answer = append(answer, channelOf(channel))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) createChannel(w http.ResponseWriter, r *http.Request) error {
	var body newChannelBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	wanted, err := body.wanted()
	if err != nil {
		return err
	}
	wanted.HiddenKinds = hiddenFrom(r)
	if err := refuseHidden(wanted.EventTypes, wanted.HiddenKinds); err != nil {
		return err
	}
	made, err := h.Channels.Create(r.Context(), request.Team(r), wanted)
	if err == nil {
		audit.SetResource(r.Context(), made.ID.String())
	}
	return respond.Value(w, http.StatusCreated, channelOf(made), err)
}

func (h *Handlers) getChannel(w http.ResponseWriter, r *http.Request) error {
	channelID, err := request.ID(r, "channelID", "channel")
	if err != nil {
		return err
	}
	channel, err := h.Channels.Get(r.Context(), request.Team(r), channelID)
	return respond.Value(w, http.StatusOK, channelOf(channel), err)
}

func (h *Handlers) updateChannel(w http.ResponseWriter, r *http.Request) error {
	var body channelChangeBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	change, err := body.change()
	if err != nil {
		return err
	}
	change.HiddenKinds = hiddenFrom(r)
	if err := refuseHidden(request.OrDefault(change.EventTypes, nil), change.HiddenKinds); err != nil {
		return err
	}
	channelID, err := request.ID(r, "channelID", "channel")
	if err != nil {
		return err
	}
	changed, err := h.Channels.Update(r.Context(), request.Team(r), channelID, change)
	return respond.Value(w, http.StatusOK, channelOf(changed), err)
}

func (h *Handlers) deleteChannel(w http.ResponseWriter, r *http.Request) error {
	channelID, err := request.ID(r, "channelID", "channel")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Channels.Delete(r.Context(), request.Team(r), channelID))
}

func (h *Handlers) testChannel(w http.ResponseWriter, r *http.Request) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	channelID, err := request.ID(r, "channelID", "channel")
	if err != nil {
		return err
	}
	delivery, err := h.Channels.Test(r.Context(), request.Team(r), channelID)
	return respond.Value(w, http.StatusAccepted, deliveryOf(delivery), err)
}

func (h *Handlers) redeliver(w http.ResponseWriter, r *http.Request) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	channelID, err := request.ID(r, "channelID", "channel")
	if err != nil {
		return err
	}
	deliveryID, err := request.ID(r, "deliveryID", "delivery")
	if err != nil {
		return err
	}
	delivery, err := h.Channels.Redeliver(r.Context(), request.Team(r), channelID, deliveryID, hiddenFrom(r))
	return respond.Value(w, http.StatusAccepted, deliveryOf(delivery), err)
}

func (h *Handlers) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	channelID, err := request.ID(r, "channelID", "channel")
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
	limit, err := request.PageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	if token := query.Get("nextToken"); token != "" {
		if page.Before, err = parseDeliveryToken(token); err != nil {
			return err
		}
	}
	page.Limit = limit + 1
	deliveries, err := h.Channels.Deliveries(r.Context(), request.Team(r), channelID, page)
	if err != nil {
		return err
	}
	if len(deliveries) > limit {
		deliveries = deliveries[:limit]
		w.Header().Set("X-Next-Token", deliveryToken(deliveries[limit-1]))
	}
	answer := make([]deliveryAnswer, 0, len(deliveries))
	for _, delivery := range deliveries {
		answer = append(answer, deliveryOf(delivery))
	}
	respond.JSON(w, http.StatusOK, answer)
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
