package activity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/inflight"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// heartbeatEvery is the default of Events.Heartbeat.
	heartbeatEvery = 15 * time.Second
	// eventWriteTimeout ends a stream whose client does not read.
	eventWriteTimeout = 30 * time.Second
	eventPage         = 100
	// missedHeader is set if events after the one that a client has seen may have
	// expired. A stream then begins with an event "missed".
	missedHeader = "X-Events-Missed"
	// maxTeamStreams is how many streams a team may have on one control plane.
	maxTeamStreams = 100
)

// Events has the log of past events and the bus of new ones.
type Events struct {
	Log events.Log
	Bus *events.Bus
	// Heartbeat is how often a comment is sent on a stream without events, so that
	// proxies do not close it; zero is the default.
	Heartbeat time.Duration

	streams inflight.Counter[uuid.UUID] // by team
}

// eventAnswer is an event.
type eventAnswer struct {
	ID         int64           `json:"id"`
	Type       events.Type     `json:"type"`
	TeamID     uuid.UUID       `json:"teamID"`
	ResourceID string          `json:"resourceID"`
	At         time.Time       `json:"at"`
	Data       json.RawMessage `json:"data"`
}

func (h *Handlers) getTeamEvents(w http.ResponseWriter, r *http.Request) error {
	return h.getEvents(w, r, request.Team(r))
}

// getAnyEvents lists events of any team, or those of no team, such as of hosts, for
// platform admins.
func (h *Handlers) getAnyEvents(w http.ResponseWriter, r *http.Request) error {
	team, err := request.TeamAsked(r)
	if err != nil {
		return err
	}
	return h.getEvents(w, r, team)
}

// getEvents answers with a page, or with a stream if the Accept header asks for one.
func (h *Handlers) getEvents(w http.ResponseWriter, r *http.Request, team uuid.UUID) error {
	filter, err := eventFilter(r.URL.Query())
	if err != nil {
		return err
	}
	filter.HiddenKinds = hiddenFrom(r)
	after, given, err := eventCursor(r)
	if err != nil {
		return err
	}
	if given && after > 0 {
		complete, err := h.Events.Log.Complete(r.Context(), after)
		if err != nil {
			return err
		}
		if !complete {
			w.Header().Set(missedHeader, "true")
		}
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return h.listEvents(w, r, team, filter, after)
	}
	if !given {
		if after, err = h.Events.Log.Latest(r.Context(), team); err != nil {
			return err
		}
	}
	return h.streamEvents(w, r, team, filter, after)
}

func (h *Handlers) listEvents(w http.ResponseWriter, r *http.Request, team uuid.UUID, filter events.Filter, after int64) error {
	limit, err := request.PageSize(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	page, err := h.Events.Log.After(r.Context(), team, after, filter, limit)
	if err != nil {
		return err
	}
	if len(page) == limit {
		w.Header().Set("X-Next-Token", strconv.FormatInt(page[limit-1].ID, 10))
	}
	answer := make([]eventAnswer, 0, len(page))
	for _, event := range page {
		answer = append(answer, eventAnswer(event))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func eventFilter(query url.Values) (events.Filter, error) {
	filter := events.Filter{ResourceID: request.SandboxID(query.Get("sandboxID"))}
	if filter.ResourceID == "" {
		filter.ResourceID = query.Get("resourceID")
	}
	if strings.ContainsRune(filter.ResourceID, 0) {
		return filter, fault.New(fault.Invalid, "resourceID must not contain a zero byte")
	}
	for _, value := range query["type"] {
		filter.Types = append(filter.Types, strings.Split(value, ",")...)
	}
	return filter, events.ValidateTypes("type", filter.Types)
}

// eventCursor returns the ID of the last event that a client has seen, from the header
// that browsers send when they reconnect, or from the query.
func eventCursor(r *http.Request) (after int64, given bool, err error) {
	name, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		name, text = "after", r.URL.Query().Get("after")
	}
	if text == "" {
		name, text = "nextToken", r.URL.Query().Get("nextToken")
	}
	if text == "" {
		return 0, false, nil
	}
	after, err = strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, false, fault.New(fault.Invalid, "%s must be the ID of an event", name)
	}
	return after, true, nil
}

// streamEvents sends the events after one, until the client disconnects or is no longer
// authorized, or the server stops. It sends events from the log; the bus only says when
// to read it, so that a slow client misses nothing.
func (h *Handlers) streamEvents(w http.ResponseWriter, r *http.Request, team uuid.UUID, filter events.Filter, after int64) error {
	filter.TeamID = &team
	if err := h.Events.enter(team); err != nil {
		return err
	}
	defer h.Events.streams.GiveBack(team)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stream := eventStream{w, http.NewResponseController(w)}
	if err := stream.begin(); err != nil {
		return nil //nolint:nilerr // the client left
	}
	heartbeat := time.NewTicker(request.OrDefault(nonZero(h.Events.Heartbeat), heartbeatEvery))
	defer heartbeat.Stop()
	news := h.Events.Bus.Subscribe(ctx, filter)
	for {
		last, err := h.sendEvents(ctx, stream, team, after, filter)
		if err != nil {
			h.Log.DebugContext(ctx, "stream of events ended", "error", err)
			return nil
		}
		after = last
		select {
		case <-ctx.Done():
			return nil
		case <-h.Stopping:
			return nil
		case <-heartbeat.C:
			err = stream.comment("heartbeat")
		case _, open := <-news.Events():
			if !open && errors.Is(news.Err(), events.ErrTooSlow) {
				news = h.Events.Bus.Subscribe(ctx, filter)
			} else if !open {
				return nil
			}
			drain(news)
		}
		if err != nil || !h.mayStillRead(r) {
			return nil
		}
	}
}

// mayStillRead authorizes the request again: a key can be revoked, and a role changed,
// during a stream. A user who has left the team may be authorized for another one.
func (h *Handlers) mayStillRead(r *http.Request) bool {
	principal, err := h.Authorize(r)
	return err == nil && principal.TeamID == request.Team(r) && slices.Equal(hiddenKinds(principal), hiddenFrom(r))
}

// sendEvents sends the events after one, and returns the ID of the last.
func (h *Handlers) sendEvents(ctx context.Context, stream eventStream, team uuid.UUID, after int64, filter events.Filter) (int64, error) {
	for {
		page, err := h.Events.Log.After(ctx, team, after, filter, eventPage)
		if err != nil {
			return after, err
		}
		if err := stream.send(page); err != nil {
			return after, err
		}
		if len(page) > 0 {
			after = page[len(page)-1].ID
		}
		if len(page) < eventPage {
			return after, nil
		}
	}
}

// drain discards events of the bus that the next read of the log finds.
func drain(subscription *events.Subscription) {
	for {
		select {
		case _, open := <-subscription.Events():
			if !open {
				return
			}
		default:
			return
		}
	}
}

func nonZero(length time.Duration) *time.Duration {
	if length == 0 {
		return nil
	}
	return &length
}

func (e *Events) enter(team uuid.UUID) error {
	if !e.streams.Take(team, maxTeamStreams) {
		return fault.New(fault.RateLimited, "the team has %d streams of events already", maxTeamStreams).Because(fault.TeamLimit)
	}
	return nil
}

// errClosed is the error of writing to a client that has disconnected.
var errClosed = errors.New("client no longer reads")

func closed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errClosed, err)
}
