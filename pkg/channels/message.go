package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// message is an event to be sent to a channel.
type message struct {
	kind       Kind
	config     Config
	event      events.Event
	body       []byte // the event as a payload
	deliveryID string
}

// request makes the HTTP request that delivers a message.
func (m message) request(ctx context.Context, now time.Time) (*http.Request, error) {
	switch m.kind {
	case Webhook:
		return m.webhook(ctx, now)
	case Slack:
		return m.post(ctx, m.config.URL, map[string]any{"text": text(m.event), "unfurl_links": false})
	case Discord:
		return m.post(ctx, m.config.URL, map[string]any{
			"content": text(m.event), "allowed_mentions": map[string]any{"parse": []string{}},
		})
	case Teams:
		return m.post(ctx, m.config.URL, teamsCard(m.event))
	case GoogleChat:
		return m.post(ctx, m.config.URL, map[string]any{"text": text(m.event)})
	case Telegram:
		address := strings.TrimSuffix(m.config.URL, "/") + "/bot" + m.config.Token + "/sendMessage"
		return m.post(ctx, address, map[string]any{"chat_id": m.config.ChatID, "text": text(m.event)})
	case Matrix:
		return m.matrix(ctx)
	default:
		return nil, fmt.Errorf("a channel of kind %s has no HTTP request", m.kind)
	}
}

func (m message) webhook(ctx context.Context, now time.Time) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.config.URL, bytes.NewReader(m.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	header := request.Header
	header.Set("Content-Type", "application/json")
	header.Set(EventIDHeader, strconv.FormatInt(m.event.ID, 10))
	header.Set(EventTypeHeader, string(m.event.Type))
	return request, sign(header, m.config.Secret, m.deliveryID, now, m.body)
}

func (message) post(ctx context.Context, address string, content any) (*http.Request, error) {
	return jsonRequest(ctx, http.MethodPost, address, content)
}

// matrix uses the delivery's ID as the ID of the transaction, so that the server ignores
// repetitions.
func (m message) matrix(ctx context.Context) (*http.Request, error) {
	address := strings.TrimSuffix(m.config.URL, "/") + "/_matrix/client/v3/rooms/" + url.PathEscape(m.config.RoomID) +
		"/send/m.room.message/" + url.PathEscape(m.deliveryID)
	request, err := jsonRequest(ctx, http.MethodPut, address, map[string]any{"msgtype": "m.notice", "body": text(m.event)})
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+m.config.Token)
	return request, nil
}

func jsonRequest(ctx context.Context, method, address string, content any) (*http.Request, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// teamsCard is an adaptive card, which the workflows of Teams accept.
func teamsCard(event events.Event) map[string]any {
	var blocks []map[string]any
	for i, line := range strings.Split(text(event), "\n") {
		block := map[string]any{"type": "TextBlock", "text": line, "wrap": true}
		if i == 0 {
			block["weight"] = "Bolder"
		}
		blocks = append(blocks, block)
	}
	return map[string]any{
		"type": "message",
		"attachments": []map[string]any{{
			"contentType": "application/vnd.microsoft.card.adaptive",
			"content": map[string]any{
				"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
				"version": "1.4", "body": blocks,
			},
		}},
	}
}
