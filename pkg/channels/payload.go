package channels

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// payload is the body of a webhook. The query FanOut makes the same object.
type payload struct {
	ID         int64           `json:"id"`
	Type       events.Type     `json:"type"`
	TeamID     uuid.UUID       `json:"teamID"`
	ResourceID string          `json:"resourceID"`
	At         time.Time       `json:"at"`
	Data       json.RawMessage `json:"data"`
}

func encodeEvent(event events.Event) ([]byte, error) { return json.Marshal(payload(event)) }

func decodeEvent(body []byte) (events.Event, error) {
	var content payload
	err := json.Unmarshal(body, &content)
	return events.Event(content), err
}
