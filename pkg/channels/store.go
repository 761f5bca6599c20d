package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// store maps rows of channels to the package's types.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

// record is a channel as it is stored.
type record struct {
	Channel
	sealedConfig []byte
	hiddenKinds  []string
}

func recordOf(row rows.Channel) record {
	return record{
		Channel: Channel{
			ID: row.ID, TeamID: row.TeamID, Kind: Kind(row.Kind), Name: row.Name, EventTypes: row.EventTypes, Target: row.Target,
			Enabled: row.Enabled, CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
		},
		sealedConfig: row.SealedConfig, hiddenKinds: row.HiddenKinds,
	}
}

func channelsOf(found []rows.Channel) []Channel {
	listed := make([]Channel, 0, len(found))
	for _, row := range found {
		listed = append(listed, recordOf(row).Channel)
	}
	return listed
}

// lockTeam serialises the creation of a team's channels.
func (s store) lockTeam(ctx context.Context, teamID uuid.UUID) error {
	_, err := s.queries.LockTeam(ctx, teamID)
	return db.Wrap(err, "lock team")
}

func (s store) count(ctx context.Context, teamID uuid.UUID) (int64, error) {
	count, err := s.queries.CountChannels(ctx, teamID)
	return count, db.Wrap(err, "count channels")
}

func (s store) create(ctx context.Context, wanted record) (record, error) {
	row, err := s.queries.CreateChannel(ctx, rows.CreateChannelParams{
		ID: wanted.ID, TeamID: wanted.TeamID, Kind: string(wanted.Kind), Name: wanted.Name, EventTypes: wanted.EventTypes,
		Target: wanted.Target, SealedConfig: wanted.sealedConfig, Enabled: wanted.Enabled, HiddenKinds: wanted.hiddenKinds,
	})
	return recordOf(row), db.Wrap(err, "store channel")
}

func (s store) list(ctx context.Context, teamID uuid.UUID) ([]Channel, error) {
	found, err := s.queries.ListChannels(ctx, teamID)
	return channelsOf(found), db.Wrap(err, "list channels")
}

func (s store) get(ctx context.Context, teamID, channelID uuid.UUID) (Channel, error) {
	row, err := s.queries.GetChannel(ctx, rows.GetChannelParams{ID: channelID, TeamID: teamID})
	return recordOf(row).Channel, db.OrElse(db.Wrap(err, "find channel"), errNoChannel)
}

func (s store) lock(ctx context.Context, teamID, channelID uuid.UUID) (record, error) {
	row, err := s.queries.LockChannel(ctx, rows.LockChannelParams{ID: channelID, TeamID: teamID})
	return recordOf(row), db.OrElse(db.Wrap(err, "lock channel"), errNoChannel)
}

func (s store) update(ctx context.Context, changed record) (record, error) {
	row, err := s.queries.UpdateChannel(ctx, rows.UpdateChannelParams{
		ID: changed.ID, Name: changed.Name, EventTypes: changed.EventTypes, Target: changed.Target,
		SealedConfig: changed.sealedConfig, Enabled: changed.Enabled, HiddenKinds: changed.hiddenKinds,
	})
	return recordOf(row), db.Wrap(err, "store channel")
}

func (s store) delete(ctx context.Context, teamID, channelID uuid.UUID) (Channel, error) {
	row, err := s.queries.DeleteChannel(ctx, rows.DeleteChannelParams{ID: channelID, TeamID: teamID})
	return recordOf(row).Channel, db.OrElse(db.Wrap(err, "delete channel"), errNoChannel)
}

func (s store) deleteOf(ctx context.Context, teamID uuid.UUID) ([]Channel, error) {
	found, err := s.queries.DeleteChannelsOf(ctx, teamID)
	return channelsOf(found), db.Wrap(err, "delete channels")
}

func (s store) listSealed(ctx context.Context, notWith []byte, after uuid.UUID, limit int32) ([]record, error) {
	found, err := s.queries.ListSealedChannels(ctx, rows.ListSealedChannelsParams{KeyID: notWith, After: after, Batch: limit})
	if err != nil {
		return nil, db.Wrap(err, "list sealed channels")
	}
	listed := make([]record, 0, len(found))
	for _, row := range found {
		listed = append(listed, record{Channel: Channel{ID: row.ID}, sealedConfig: row.SealedConfig})
	}
	return listed, nil
}

// replaceSealed does nothing where the config is no longer the old one.
func (s store) replaceSealed(ctx context.Context, channelID uuid.UUID, old, sealed []byte) error {
	err := s.queries.ReplaceSealedChannel(ctx, rows.ReplaceSealedChannelParams{ID: channelID, SealedConfig: sealed, OldConfig: old})
	return db.Wrap(err, "replace sealed channel")
}

// storedConfig is the form in which a config is sealed.
type storedConfig struct {
	URL    string   `json:"url,omitempty"`
	Secret string   `json:"secret,omitempty"`
	Token  string   `json:"token,omitempty"`
	ChatID string   `json:"chatID,omitempty"`
	RoomID string   `json:"roomID,omitempty"`
	To     []string `json:"to,omitempty"`
}

func encodeConfig(config Config) ([]byte, error) { return json.Marshal(storedConfig(config)) }

func decodeConfig(encoded []byte) (Config, error) {
	var stored storedConfig
	err := json.Unmarshal(encoded, &stored)
	return Config(stored), err
}

// queued is a delivery with its event as it is sent.
type queued struct {
	Delivery
	body         []byte
	attemptCount int32
}

// errUnreadable says that the event of a delivery cannot be decoded.
var errUnreadable = errors.New("the event cannot be read")

func queuedOf(row rows.ChannelDelivery) (queued, error) {
	event, err := decodeEvent(row.Event)
	if err != nil {
		err = fmt.Errorf("delivery %s: %w: %w", row.ID, errUnreadable, err)
	}
	return queued{
		Delivery: Delivery{
			ID: row.ID, Event: event, State: DeliveryState(row.State), CreatedAt: row.CreatedAt.UTC(),
			NextAttemptAt: row.NextAttemptAt, FinishedAt: row.FinishedAt,
		},
		body: row.Event, attemptCount: row.AttemptCount,
	}, err
}

func (s store) createDelivery(ctx context.Context, channelID uuid.UUID, body []byte) (queued, error) {
	row, err := s.queries.CreateDelivery(ctx, rows.CreateDeliveryParams{ID: uuid.New(), ChannelID: channelID, Event: body})
	if err != nil {
		return queued{}, db.Wrap(err, "store delivery")
	}
	return queuedOf(row)
}

// delivery returns a delivery with its channel.
func (s store) delivery(ctx context.Context, id uuid.UUID) (queued, record, error) {
	row, err := s.queries.GetDelivery(ctx, id)
	if err != nil {
		return queued{}, record{}, db.Wrap(err, "find delivery")
	}
	found, err := queuedOf(row.ChannelDelivery)
	return found, recordOf(row.Channel), err
}

// latest is later than any delivery.
var latest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s store) deliveries(ctx context.Context, channelID uuid.UUID, page DeliveryPage) ([]Delivery, error) {
	query := rows.ListDeliveriesParams{
		ChannelID: channelID, State: string(page.State), BeforeTime: latest, BeforeID: uuid.Max,
		PageSize: int32(min(page.Limit, math.MaxInt32)), HiddenKinds: sorted(page.HiddenKinds),
	}
	if page.Before != nil {
		query.BeforeTime, query.BeforeID = page.Before.CreatedAt, page.Before.ID
	}
	found, err := s.queries.ListDeliveries(ctx, query)
	if err != nil {
		return nil, db.Wrap(err, "list deliveries")
	}
	listed := make([]Delivery, 0, len(found))
	for _, row := range found {
		one, err := queuedOf(row)
		if err != nil {
			return nil, err
		}
		listed = append(listed, one.Delivery)
	}
	return listed, s.addAttempts(ctx, listed)
}

// addAttempts reads the attempts of deliveries.
func (s store) addAttempts(ctx context.Context, deliveries []Delivery) error {
	ids, indexes := make([]uuid.UUID, 0, len(deliveries)), make(map[uuid.UUID]int, len(deliveries))
	for i, delivery := range deliveries {
		ids = append(ids, delivery.ID)
		indexes[delivery.ID] = i
	}
	found, err := s.queries.ListAttempts(ctx, ids)
	if err != nil {
		return db.Wrap(err, "list attempts")
	}
	for _, row := range found {
		of := &deliveries[indexes[row.DeliveryID]]
		of.Attempts = append(of.Attempts, Attempt{
			At: row.At.UTC(), Duration: time.Duration(row.DurationMs) * time.Millisecond, StatusCode: int(row.StatusCode), Failure: Failure(row.Error),
		})
	}
	return nil
}

// redeliver returns db.ErrNoRow for a delivery that is pending, hidden or does not exist.
func (s store) redeliver(ctx context.Context, channelID, deliveryID uuid.UUID, hiddenKinds []string) (queued, error) {
	row, err := s.queries.RedeliverDelivery(ctx, rows.RedeliverDeliveryParams{ID: deliveryID, ChannelID: channelID, HiddenKinds: sorted(hiddenKinds)})
	if err != nil {
		return queued{}, db.Wrap(err, "queue delivery again")
	}
	return queuedOf(row)
}

// recordAttempt stores an attempt, and the state that the delivery has afterwards.
func (s store) recordAttempt(ctx context.Context, delivery Delivery, attempt Attempt) error {
	err := s.queries.RecordAttempt(ctx, rows.RecordAttemptParams{
		DeliveryID: delivery.ID, State: string(delivery.State), NextAttemptAt: delivery.NextAttemptAt, At: attempt.At,
		DurationMs: int32(attempt.Duration.Milliseconds()), StatusCode: int32(attempt.StatusCode), Error: string(attempt.Failure),
	})
	return db.Wrap(err, "record attempt")
}

func (s store) deleteOldDeliveries(ctx context.Context, before time.Time, batch int32) (int64, error) {
	deleted, err := s.queries.DeleteOldDeliveries(ctx, rows.DeleteOldDeliveriesParams{Before: before, Batch: batch})
	return deleted, db.Wrap(err, "delete old deliveries")
}

// takeEvents locks events that were not dispatched, and returns their IDs. Other
// replicas skip them.
func (s store) takeEvents(ctx context.Context, batch int32) ([]int64, error) {
	waiting, err := s.queries.TakeEventsToDispatch(ctx, batch)
	if err != nil {
		return nil, db.Wrap(err, "take events")
	}
	ids := make([]int64, 0, len(waiting))
	for _, event := range waiting {
		ids = append(ids, event.ID)
	}
	return ids, nil
}

// fanOut makes the deliveries of events to the channels that select them, and returns
// their IDs.
func (s store) fanOut(ctx context.Context, eventIDs []int64) ([]uuid.UUID, error) {
	deliveries, err := s.queries.FanOut(ctx, eventIDs)
	return deliveries, db.Wrap(err, "make deliveries")
}

func (s store) markDispatched(ctx context.Context, eventIDs []int64) error {
	return db.Wrap(s.queries.MarkDispatched(ctx, eventIDs), "mark events as dispatched")
}
