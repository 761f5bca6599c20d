package activity

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// channelConfig is the config of a channel in a request.
type channelConfig struct {
	URL    string   `json:"url"`
	Secret string   `json:"secret"`
	Token  string   `json:"token"`
	ChatID string   `json:"chatID"`
	RoomID string   `json:"roomID"`
	To     []string `json:"to"`
}

// configOf refuses fields that no kind has, because their values would be lost.
func configOf(raw json.RawMessage) (channels.Config, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return channels.Config{}, fault.New(fault.Invalid, "config is missing")
	}
	var config channelConfig
	if err := exactjson.DecodeKnown(raw, &config); err != nil {
		return channels.Config{}, fault.New(fault.Invalid, "config has a field that is not known or of the wrong type")
	}
	return channels.Config(config), nil
}

type newChannelBody struct {
	Kind       channels.Kind   `json:"kind"`
	Name       string          `json:"name"`
	EventTypes []string        `json:"eventTypes"`
	Config     json.RawMessage `json:"config"`
	// Enabled is true where it is left out.
	Enabled *bool `json:"enabled"`
}

func (b newChannelBody) wanted() (channels.NewChannel, error) {
	config, err := configOf(b.Config)
	return channels.NewChannel{
		Kind: b.Kind, Name: b.Name, EventTypes: b.EventTypes, Config: config, Disabled: b.Enabled != nil && !*b.Enabled,
	}, err
}

// channelChangeBody is a change of a channel; what is left out stays.
type channelChangeBody struct {
	Name       *string         `json:"name"`
	EventTypes *[]string       `json:"eventTypes"`
	Config     json.RawMessage `json:"config"`
	Enabled    *bool           `json:"enabled"`
}

func (b channelChangeBody) change() (channels.Change, error) {
	change := channels.Change{Name: b.Name, EventTypes: b.EventTypes, Enabled: b.Enabled}
	if b.Config == nil {
		return change, nil
	}
	config, err := configOf(b.Config)
	change.Config = &config
	return change, err
}

type channelAnswer struct {
	ID         uuid.UUID     `json:"id"`
	Kind       channels.Kind `json:"kind"`
	Name       string        `json:"name"`
	EventTypes []string      `json:"eventTypes"`
	Target     string        `json:"target"`
	Enabled    bool          `json:"enabled"`
	CreatedAt  time.Time     `json:"createdAt"`
	UpdatedAt  time.Time     `json:"updatedAt"`
	Secret     string        `json:"secret,omitempty"`
}

func channelOf(channel channels.Channel) channelAnswer {
	return channelAnswer{
		ID: channel.ID, Kind: channel.Kind, Name: channel.Name, EventTypes: channel.EventTypes, Target: channel.Target,
		Enabled: channel.Enabled, CreatedAt: channel.CreatedAt, UpdatedAt: channel.UpdatedAt, Secret: channel.Secret,
	}
}

type deliveryAnswer struct {
	ID            uuid.UUID              `json:"id"`
	Event         eventAnswer            `json:"event"`
	State         channels.DeliveryState `json:"state"`
	CreatedAt     time.Time              `json:"createdAt"`
	NextAttemptAt *time.Time             `json:"nextAttemptAt"`
	FinishedAt    *time.Time             `json:"finishedAt"`
	Attempts      []attemptAnswer        `json:"attempts"`
}

type attemptAnswer struct {
	At         time.Time        `json:"at"`
	DurationMS int64            `json:"durationMs"`
	StatusCode int              `json:"statusCode"`
	Error      channels.Failure `json:"error"`
}

func deliveryOf(delivery channels.Delivery) deliveryAnswer {
	answer := deliveryAnswer{
		ID: delivery.ID, Event: eventAnswer(delivery.Event), State: delivery.State, CreatedAt: delivery.CreatedAt,
		NextAttemptAt: delivery.NextAttemptAt, FinishedAt: delivery.FinishedAt, Attempts: make([]attemptAnswer, 0, len(delivery.Attempts)),
	}
	for _, made := range delivery.Attempts {
		answer.Attempts = append(answer.Attempts, attemptAnswer{made.At, made.Duration.Milliseconds(), made.StatusCode, made.Failure})
	}
	return answer
}
