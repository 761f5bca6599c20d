// Package channels delivers a team's events to people and programs: by webhook, in chats
// and by mail.
//
// The Dispatcher makes a delivery of each event for each channel that selects it, in the
// transaction that marks the event as dispatched. Deliveries are jobs of the queue: they
// survive a crash of any process and are retried with growing delays. A delivery that is
// given up can be sent again by hand. A channel gets an event at least once; receivers
// recognise repetitions by its ID.
package channels

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// maxChannels is how many channels a team may have.
const maxChannels = 50

// Queue is the part of the job queue that this package needs.
type Queue interface {
	InsertTx(ctx context.Context, tx pgx.Tx, job river.JobArgs, options *river.InsertOpts) (*Inserted, error)
	InsertManyTx(ctx context.Context, tx pgx.Tx, jobs []river.InsertManyParams) ([]*Inserted, error)
}

// Channel is where a team's events are sent.
type Channel struct {
	ID     uuid.UUID
	TeamID uuid.UUID
	Kind   Kind
	Name   string
	// EventTypes select events, each whole or as "sandbox.*"; none selects all.
	EventTypes []string
	// Target is the part of the config that is not secret, such as a host name.
	Target    string
	Enabled   bool
	CreatedAt time.Time
	UpdatedAt time.Time
	// Secret signs webhooks. It is set only in the answer to the request that set it.
	Secret string
}

// NewChannel is a channel to be made.
type NewChannel struct {
	Kind       Kind
	Name       string
	EventTypes []string
	Config     Config
	Disabled   bool
	// HiddenKinds are kinds of events that the maker may not read. The channel does not
	// deliver them.
	HiddenKinds []string
}

// Change is a change of a channel; what is nil stays.
type Change struct {
	Name       *string
	EventTypes *[]string
	// Config replaces the config as a whole, except for a webhook's secret where Secret
	// is empty.
	Config  *Config
	Enabled *bool
	// HiddenKinds are kinds of events that the principal may not read. They replace those
	// of the channel where EventTypes or Config is set.
	HiddenKinds []string
}

// Service changes channels and reads their deliveries.
type Service struct {
	pool    *pgxpool.Pool
	store   store // by the pool
	keyring *seal.Keyring
	queue   Queue
}

// New makes a Service. The keyring seals the configs of channels.
func New(pool *pgxpool.Pool, keyring *seal.Keyring, queue Queue) *Service {
	return &Service{pool: pool, store: newStore(pool), keyring: keyring, queue: queue}
}

var errNoChannel = fault.New(fault.NotFound, "there is no such channel")

// purposeOf is what a channel's config is sealed for.
func purposeOf(id uuid.UUID) string { return "channel:" + id.String() }

func sealConfig(keyring *seal.Keyring, id uuid.UUID, config Config) ([]byte, error) {
	encoded, err := encodeConfig(config)
	if err != nil {
		return nil, fmt.Errorf("encode config of channel %s: %w", id, err)
	}
	sealed, err := keyring.Seal(encoded, purposeOf(id))
	if err != nil {
		return nil, fmt.Errorf("seal config of channel %s: %w", id, err)
	}
	return sealed, nil
}

func openConfig(keyring *seal.Keyring, channel record) (Config, error) {
	encoded, err := keyring.Open(channel.sealedConfig, purposeOf(channel.ID))
	if err != nil {
		return Config{}, fmt.Errorf("open config of channel %s: %w", channel.ID, err)
	}
	config, err := decodeConfig(encoded)
	if err != nil {
		return Config{}, fmt.Errorf("read config of channel %s: %w", channel.ID, err)
	}
	return config, nil
}

// recordEvent writes an event of a channel, as the last statement of a transaction.
func recordEvent(ctx context.Context, tx pgx.Tx, kind events.Type, channel Channel) error {
	return events.Record(ctx, tx, channel.TeamID, kind, channel.ID.String(), dataOf(channel))
}

// dataOf is the data of the events of a channel.
func dataOf(channel Channel) map[string]any {
	return map[string]any{"kind": channel.Kind, "name": channel.Name, "enabled": channel.Enabled}
}

// Create makes a channel.
func (s *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewChannel) (Channel, error) {
	if err := checkName(wanted.Name); err != nil {
		return Channel{}, err
	}
	if err := events.ValidateTypes("eventTypes", wanted.EventTypes); err != nil {
		return Channel{}, err
	}
	config, err := wanted.Config.checked(wanted.Kind)
	if err != nil {
		return Channel{}, err
	}
	channel := record{
		Channel: Channel{
			ID: uuid.New(), TeamID: teamID, Kind: wanted.Kind, Name: wanted.Name, EventTypes: sorted(wanted.EventTypes),
			Target: config.target(wanted.Kind), Enabled: !wanted.Disabled,
		},
		hiddenKinds: sorted(wanted.HiddenKinds),
	}
	if channel.sealedConfig, err = sealConfig(s.keyring, channel.ID, config); err != nil {
		return Channel{}, err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if channel, err = newStore(tx).createWithin(ctx, channel); err != nil {
			return err
		}
		return recordEvent(ctx, tx, events.ChannelCreated, channel.Channel)
	})
	if err != nil {
		return Channel{}, fmt.Errorf("make channel: %w", err)
	}
	channel.Secret = config.Secret
	return channel.Channel, nil
}

// createWithin stores a channel unless its team has as many as it may have.
func (s store) createWithin(ctx context.Context, channel record) (record, error) {
	if err := s.lockTeam(ctx, channel.TeamID); err != nil {
		return record{}, err
	}
	count, err := s.count(ctx, channel.TeamID)
	if err != nil {
		return record{}, err
	}
	if count >= maxChannels {
		return record{}, fault.New(fault.Conflict, "the team has %d channels already", maxChannels)
	}
	return s.create(ctx, channel)
}

// Update changes a channel.
func (s *Service) Update(ctx context.Context, teamID, channelID uuid.UUID, change Change) (Channel, error) {
	var channel record
	var secret string
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if channel, err = newStore(tx).lock(ctx, teamID, channelID); err != nil {
			return err
		}
		if err := change.apply(&channel); err != nil {
			return err
		}
		if change.Config != nil {
			if secret, err = s.replaceConfig(&channel, *change.Config); err != nil {
				return err
			}
		}
		if channel, err = newStore(tx).update(ctx, channel); err != nil {
			return err
		}
		return recordEvent(ctx, tx, events.ChannelUpdated, channel.Channel)
	})
	if err != nil {
		return Channel{}, fmt.Errorf("change channel: %w", err)
	}
	channel.Secret = secret
	return channel.Channel, nil
}

func (c Change) apply(channel *record) error {
	if c.Name != nil {
		if err := checkName(*c.Name); err != nil {
			return err
		}
		channel.Name = *c.Name
	}
	if c.EventTypes != nil {
		if err := events.ValidateTypes("eventTypes", *c.EventTypes); err != nil {
			return err
		}
		channel.EventTypes = sorted(*c.EventTypes)
	}
	if c.Enabled != nil {
		channel.Enabled = *c.Enabled
	}
	if c.EventTypes != nil || c.Config != nil {
		channel.hiddenKinds = sorted(c.HiddenKinds)
	}
	return nil
}

// replaceConfig returns a webhook's secret where it changed.
func (s *Service) replaceConfig(channel *record, wanted Config) (changedSecret string, err error) {
	keepsSecret := channel.Kind == Webhook && wanted.Secret == ""
	if wanted, err = wanted.checked(channel.Kind); err != nil {
		return "", err
	}
	changedSecret = wanted.Secret
	if keepsSecret {
		old, err := openConfig(s.keyring, *channel)
		if err != nil {
			return "", err
		}
		wanted.Secret, changedSecret = old.Secret, ""
	}
	channel.Target = wanted.target(channel.Kind)
	channel.sealedConfig, err = sealConfig(s.keyring, channel.ID, wanted)
	return changedSecret, err
}

// List returns a team's channels, oldest first.
func (s *Service) List(ctx context.Context, teamID uuid.UUID) ([]Channel, error) {
	return s.store.list(ctx, teamID)
}

// Get returns a channel of a team.
func (s *Service) Get(ctx context.Context, teamID, channelID uuid.UUID) (Channel, error) {
	return s.store.get(ctx, teamID, channelID)
}

// Delete deletes a channel with all its deliveries.
func (s *Service) Delete(ctx context.Context, teamID, channelID uuid.UUID) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		channel, err := newStore(tx).delete(ctx, teamID, channelID)
		if err != nil {
			return err
		}
		return recordEvent(ctx, tx, events.ChannelDeleted, channel)
	})
}

// DeleteOf deletes the channels of a team that is about to be deleted, and returns the
// events to be recorded at the end of the transaction.
func DeleteOf(ctx context.Context, tx db.Conn, teamID uuid.UUID) ([]events.Draft, error) {
	deleted, err := newStore(tx).deleteOf(ctx, teamID)
	if err != nil {
		return nil, err
	}
	drafts := make([]events.Draft, 0, len(deleted))
	for _, channel := range deleted {
		drafts = append(drafts, events.Draft{
			TeamID: teamID, Type: events.ChannelDeleted, ResourceID: channel.ID.String(), Data: dataOf(channel),
		})
	}
	return drafts, nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxTextBytes || !exactjson.Storable(name) {
		return fault.New(fault.Invalid, "name must have from 1 to %d bytes of text", maxTextBytes)
	}
	return nil
}

// sorted returns names in order, each once. It is never nil.
func sorted(names []string) []string {
	names = append([]string{}, names...)
	slices.Sort(names)
	return slices.Compact(names)
}
