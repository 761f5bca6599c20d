package channels_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// Every request goes to the address of the config, whatever the config and the event
// contain.
func FuzzRequest(f *testing.F) {
	f.Add("webhook", `{"url": "https://example.com/hook"}`, `{"reason": "killed"}`, "isandbox1")
	f.Add("telegram", `{"token": "123456:ABC-DEF1234", "chatID": "@room"}`, `{}`, "")
	f.Add("matrix", `{"url": "https://example.com", "token": "t", "roomID": "!room:example.org"}`, `[]`, "<@here>")
	f.Fuzz(func(t *testing.T, kind, config, data, resource string) {
		var given channels.Config
		if json.Unmarshal([]byte(config), &given) != nil || channels.Kind(kind) == channels.Email {
			return
		}
		parsed, err := given.Checked(channels.Kind(kind))
		if err != nil {
			return
		}
		event := events.Event{Type: events.SandboxKilled, TeamID: uuid.Nil, ResourceID: resource, Data: json.RawMessage(data)}
		request, err := channels.RequestOf(t.Context(), channels.Kind(kind), parsed, event)
		if err != nil {
			t.Skip() // an address that only the HTTP library refuses
		}
		if !strings.HasPrefix(parsed.URL, request.URL.Scheme+"://") && !strings.EqualFold(parsed.URL[:len(request.URL.Scheme)], request.URL.Scheme) {
			t.Fatalf("%q became %q", parsed.URL, request.URL)
		}
		if request.URL.Host == "" || request.URL.User != nil {
			t.Fatalf("%q became %q", parsed.URL, request.URL)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "v1,AA==", "1700000000", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, signature, timestamp string, body []byte) {
		header := http.Header{channels.IDHeader: {id}, channels.SignatureHeader: {signature}, channels.TimestampHeader: {timestamp}}
		if channels.Verify(channels.NewSecret(), header, body, time.Hour) == nil {
			t.Fatal("verified a request that was never signed")
		}
	})
}
