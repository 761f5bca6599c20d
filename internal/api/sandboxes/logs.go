package sandboxes

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

const (
	maxLogLines    = 1000
	maxSearchBytes = 256
)

// logEntry is one line of a sandbox's log.
type logEntry struct {
	Timestamp time.Time         `json:"timestamp"`
	Message   string            `json:"message"`
	Level     string            `json:"level"`
	Fields    map[string]string `json:"fields"`
}

// logLine is a line of the log in version 1 of the API. Line is a JSON object, which
// E2B's CLI parses.
type logLine struct {
	Timestamp time.Time `json:"timestamp"`
	Line      string    `json:"line"`
}

func logLineOf(entry logEntry) (logLine, error) {
	line := map[string]string{"logger": entry.Fields["source"]}
	maps.Copy(line, entry.Fields)
	line["level"], line["message"] = entry.Level, entry.Message
	encoded, err := json.Marshal(line)
	return logLine{entry.Timestamp, string(encoded)}, err
}

func (h *Handlers) listLogsV1(w http.ResponseWriter, r *http.Request) error {
	filter := sandboxes.LogFilter{}
	var err error
	if filter.From, err = request.Milliseconds(r.URL.Query(), "start"); err != nil {
		return err
	}
	entries, err := h.listLogs(r, filter)
	if err != nil {
		return err
	}
	lines := make([]logLine, 0, len(entries))
	for _, entry := range entries {
		line, err := logLineOf(entry)
		if err != nil {
			return fmt.Errorf("encode a line: %w", err)
		}
		lines = append(lines, line)
	}
	respond.JSON(w, http.StatusOK, map[string]any{"logs": lines, "logEntries": entries})
	return nil
}

func (h *Handlers) listLogsV2(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	filter := sandboxes.LogFilter{Level: sandbox.Level(query.Get("level")), Search: query.Get("search")}
	var err error
	if filter.From, err = request.Milliseconds(query, "cursor"); err != nil {
		return err
	}
	switch query.Get("direction") {
	case "", "forward":
	case "backward":
		filter.Backward = true
	default:
		return fault.New(fault.Invalid, "direction must be forward or backward")
	}
	if filter.Level != "" && !slices.Contains(sandbox.Levels(), filter.Level) {
		return fault.New(fault.Invalid, "level must be debug, info, warn or error")
	}
	if len(filter.Search) > maxSearchBytes || strings.ContainsRune(filter.Search, 0) {
		return fault.New(fault.Invalid, "search must be at most %d bytes, none of them zero", maxSearchBytes)
	}
	entries, err := h.listLogs(r, filter)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string]any{"logs": entries})
	return nil
}

func (h *Handlers) listLogs(r *http.Request, filter sandboxes.LogFilter) ([]logEntry, error) {
	filter.Limit = maxLogLines
	if text := r.URL.Query().Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 0 || limit > maxLogLines {
			return nil, fault.New(fault.Invalid, "limit must be a number from 0 to %d", maxLogLines)
		}
		filter.Limit = limit
	}
	lines, err := h.Sandboxes.Logs(r.Context(), request.Team(r), sandboxOf(r), filter)
	if err != nil {
		return nil, err
	}
	entries := make([]logEntry, 0, len(lines))
	for _, line := range lines {
		entries = append(entries, logEntryOf(line))
	}
	return entries, nil
}

func logEntryOf(line sandbox.LogLine) logEntry {
	return logEntry{Timestamp: line.At.UTC(), Message: line.Message, Level: string(line.Level), Fields: line.Fields}
}
