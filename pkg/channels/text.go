package channels

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// maxLineBytes bounds a line of a client's text.
const maxLineBytes = 200

// title is the subject of an event.
func title(event events.Event) string {
	return fmt.Sprintf("Wrenn: %s %s", event.Type, plain(event.ResourceID))
}

// text describes an event in plain text.
func text(event events.Event) string {
	var known struct {
		TemplateID string `json:"templateID"`
		Alias      string `json:"alias"`
		Name       string `json:"name"`
		Reason     string `json:"reason"`
	}
	_ = json.Unmarshal(event.Data, &known) // data of extensions may have other types
	lines := []string{title(event)}
	for _, line := range []struct{ name, value string }{
		{"Name", known.Name},
		{"Template", strings.TrimSpace(known.Alias + " " + known.TemplateID)},
		{"Reason", known.Reason},
		{"Time", event.At.UTC().Format("2006-01-02 15:04:05 UTC")},
	} {
		if line.value != "" {
			lines = append(lines, line.name+": "+plain(line.value))
		}
	}
	return strings.Join(lines, "\n")
}

// plain makes a client's text one line without mentions and links, which chats read from
// "<", ">" and "@".
func plain(value string) string {
	value = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case r == '<':
			return '‹'
		case r == '>':
			return '›'
		case r == '@':
			return '＠'
		default:
			return r
		}
	}, strings.ToValidUTF8(value, "\uFFFD"))
	if len(value) > maxLineBytes {
		value = strings.ToValidUTF8(value[:maxLineBytes], "") + "…"
	}
	return value
}
