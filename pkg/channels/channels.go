// Package channels tells people and programs of a team's events: by webhook, in
// chats and by mail.
//
// Dispatcher makes a delivery of each event for each channel that wants it, in
// the transaction that takes the event from the outbox. Deliveries are jobs of
// the queue: they survive any process, are tried again with growing delays, and
// are dead letters in the end, which can be sent again by hand. An event comes at
// least once; its ID says which ones came before.
package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
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

// Channel is a channel as its team sees it.
type Channel struct {
	ID         uuid.UUID `json:"id"`
	Kind       Kind      `json:"kind"`
	Name       string    `json:"name"`
	EventTypes []string  `json:"eventTypes"`
	// Target says where the channel leads, without what opens it.
	Target    string    `json:"target"`
	Enabled   bool      `json:"enabled"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// Secret is what a webhook signs with. It is shown when it was set, not later.
	Secret string `json:"secret,omitempty"`
}

// NewChannel is a channel that a team wants.
type NewChannel struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
	// EventTypes select events, each whole or such as "sandbox.*"; none selects all.
	EventTypes []string `json:"eventTypes"`
	// Config is a Config.
	Config json.RawMessage `json:"config"`
	// Enabled is true where it is left out.
	Enabled *bool `json:"enabled"`
	// HiddenKinds are kinds of events that who makes the channel may not read, and
	// that it does not tell of.
	HiddenKinds []string `json:"-"`
}

// Change is what of a channel is to be another. What is nil stays.
type Change struct {
	Name       *string         `json:"name"`
	EventTypes *[]string       `json:"eventTypes"`
	Config     json.RawMessage `json:"config"`
	Enabled    *bool           `json:"enabled"`
	// HiddenKinds are kinds of events that who makes the change may not read. They
	// replace the channel's where it leads elsewhere or tells of other types.
	HiddenKinds []string `json:"-"`
}

// Service is the service of channels.
type Service struct {
	Pool    *pgxpool.Pool
	Queries *rows.Queries
	Keyring *seal.Keyring
	Queue   Queue
}

// purposeOf is what a channel's config is sealed for.
func purposeOf(id uuid.UUID) string { return "channel:" + id.String() }

func sealConfig(keyring *seal.Keyring, id uuid.UUID, config Config) ([]byte, error) {
	encoded, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode channel's config: %w", err)
	}
	sealed, err := keyring.Seal(encoded, purposeOf(id))
	if err != nil {
		return nil, fmt.Errorf("seal channel's config: %w", err)
	}
	return sealed, nil
}

func openConfig(keyring *seal.Keyring, channel rows.Channel) (Config, error) {
	var config Config
	encoded, err := keyring.Open(channel.SealedConfig, purposeOf(channel.ID))
	if err != nil {
		return config, fmt.Errorf("open config of channel %s: %w", channel.ID, err)
	}
	if err := json.Unmarshal(encoded, &config); err != nil {
		return config, fmt.Errorf("read config of channel %s: %w", channel.ID, err)
	}
	return config, nil
}

// Create makes a channel.
func (s *Service) Create(ctx context.Context, teamID uuid.UUID, wanted NewChannel) (Channel, error) {
	if err := checkName(wanted.Name); err != nil {
		return Channel{}, err
	}
	if err := events.ValidateTypes("eventTypes", wanted.EventTypes); err != nil {
		return Channel{}, err
	}
	config, err := parseConfig(wanted.Kind, wanted.Config)
	if err != nil {
		return Channel{}, err
	}
	id := uuid.New()
	sealed, err := sealConfig(s.Keyring, id, config)
	if err != nil {
		return Channel{}, err
	}
	var made rows.Channel
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		queries := s.Queries.WithTx(tx)
		if _, err := queries.LockTeam(ctx, teamID); err != nil {
			return fmt.Errorf("lock team: %w", err)
		}
		count, err := queries.CountChannels(ctx, teamID)
		if err != nil {
			return fmt.Errorf("count channels: %w", err)
		}
		if count >= maxChannels {
			return fault.New(fault.Conflict, "the team has %d channels already", maxChannels)
		}
		made, err = queries.CreateChannel(ctx, rows.CreateChannelParams{
			ID: id, TeamID: teamID, Kind: string(wanted.Kind), Name: wanted.Name, EventTypes: orNone(wanted.EventTypes),
			Target: config.target(wanted.Kind), SealedConfig: sealed, Enabled: wanted.Enabled == nil || *wanted.Enabled,
			HiddenKinds: orNone(wanted.HiddenKinds),
		})
		return err
	})
	if err != nil {
		return Channel{}, fmt.Errorf("make channel: %w", err)
	}
	channel := channelOf(made)
	channel.Secret = config.Secret
	return channel, nil
}

// Update changes a channel. A new config replaces the old one as a whole, but for
// a webhook's secret, which stays where no other is given.
func (s *Service) Update(ctx context.Context, teamID, channelID uuid.UUID, change Change) (Channel, error) {
	var changed rows.Channel
	var secret string
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		queries := s.Queries.WithTx(tx)
		channel, err := queries.LockChannel(ctx, rows.LockChannelParams{ID: channelID, TeamID: teamID})
		if err != nil {
			return found(err)
		}
		if err := change.apply(&channel); err != nil {
			return err
		}
		if change.Config != nil {
			if secret, err = s.replaceConfig(&channel, change.Config); err != nil {
				return err
			}
		}
		changed, err = queries.UpdateChannel(ctx, rows.UpdateChannelParams{
			ID: channelID, Name: channel.Name, EventTypes: channel.EventTypes, Target: channel.Target,
			SealedConfig: channel.SealedConfig, Enabled: channel.Enabled, HiddenKinds: channel.HiddenKinds,
		})
		return err
	})
	if err != nil {
		return Channel{}, fmt.Errorf("change channel: %w", err)
	}
	channel := channelOf(changed)
	channel.Secret = secret
	return channel, nil
}

func (c Change) apply(channel *rows.Channel) error {
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
		channel.EventTypes = orNone(*c.EventTypes)
	}
	if c.Enabled != nil {
		channel.Enabled = *c.Enabled
	}
	if c.EventTypes != nil || c.Config != nil {
		channel.HiddenKinds = orNone(c.HiddenKinds)
	}
	return nil
}

// replaceConfig returns a webhook's secret where it is a new one.
func (s *Service) replaceConfig(channel *rows.Channel, raw json.RawMessage) (string, error) {
	kind := Kind(channel.Kind)
	config, err := parseConfig(kind, raw)
	if err != nil {
		return "", err
	}
	shown := config.Secret
	var given Config
	if err := json.Unmarshal(raw, &given); err == nil && kind == Webhook && given.Secret == "" {
		old, err := openConfig(s.Keyring, *channel)
		if err != nil {
			return "", err
		}
		config.Secret, shown = old.Secret, ""
	}
	channel.Target = config.target(kind)
	channel.SealedConfig, err = sealConfig(s.Keyring, channel.ID, config)
	return shown, err
}

// List returns a team's channels, the oldest first.
func (s *Service) List(ctx context.Context, teamID uuid.UUID) ([]Channel, error) {
	found, err := s.Queries.ListChannels(ctx, teamID)
	if err != nil {
		return nil, fmt.Errorf("list channels: %w", err)
	}
	listed := make([]Channel, 0, len(found))
	for _, row := range found {
		listed = append(listed, channelOf(row))
	}
	return listed, nil
}

// Get returns one of a team's channels.
func (s *Service) Get(ctx context.Context, teamID, channelID uuid.UUID) (Channel, error) {
	row, err := s.Queries.GetChannel(ctx, rows.GetChannelParams{ID: channelID, TeamID: teamID})
	if err != nil {
		return Channel{}, found(err)
	}
	return channelOf(row), nil
}

// Delete removes a channel with all its deliveries.
func (s *Service) Delete(ctx context.Context, teamID, channelID uuid.UUID) error {
	deleted, err := s.Queries.DeleteChannel(ctx, rows.DeleteChannelParams{ID: channelID, TeamID: teamID})
	if err != nil {
		return fmt.Errorf("delete channel: %w", err)
	}
	if deleted == 0 {
		return found(pgx.ErrNoRows)
	}
	return nil
}

func found(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no such channel")
	}
	return fmt.Errorf("get channel: %w", err)
}

func checkName(name string) error {
	if name == "" || len(name) > maxTextBytes || !exactjson.Storable(name) {
		return fault.New(fault.Invalid, "name must have from 1 to %d bytes of text", maxTextBytes)
	}
	return nil
}

func orNone(types []string) []string {
	if types == nil {
		return []string{}
	}
	types = slices.Clone(types)
	slices.Sort(types)
	return slices.Compact(types)
}

func channelOf(row rows.Channel) Channel {
	return Channel{
		ID: row.ID, Kind: Kind(row.Kind), Name: row.Name, EventTypes: row.EventTypes, Target: row.Target,
		Enabled: row.Enabled, CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}
}
