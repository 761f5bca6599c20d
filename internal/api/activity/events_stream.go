package activity

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// reconnectMilliseconds is how long browsers wait before they reconnect a stream.
const reconnectMilliseconds = 1000

// eventStream writes server-sent events.
type eventStream struct {
	http.ResponseWriter
	*http.ResponseController
}

func (s eventStream) begin() error {
	header := s.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // prevents nginx from buffering events
	s.WriteHeader(http.StatusOK)
	text := fmt.Appendf(nil, "retry: %d\n\n", reconnectMilliseconds)
	if header.Get(missedHeader) != "" {
		text = append(text, "event: missed\ndata: {}\n\n"...)
	}
	return s.write(text)
}

func (s eventStream) comment(text string) error { return s.write([]byte(": " + text + "\n\n")) }

func (s eventStream) send(page []events.Event) error {
	var text []byte
	for _, event := range page {
		data, err := json.Marshal(eventAnswer(event))
		if err != nil {
			return fmt.Errorf("encode event %d: %w", event.ID, err)
		}
		text = fmt.Appendf(text, "id: %d\nevent: %s\ndata: %s\n\n", event.ID, event.Type, data)
	}
	if len(text) == 0 {
		return nil
	}
	return s.write(text)
}

func (s eventStream) write(text []byte) error {
	// An httptest.ResponseRecorder has no deadlines.
	_ = s.SetWriteDeadline(time.Now().Add(eventWriteTimeout))
	if _, err := s.Write(text); err != nil {
		return closed(err)
	}
	return closed(s.Flush())
}
