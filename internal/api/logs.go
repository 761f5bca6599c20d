package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
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

// logLine is one in the words of the first version of the API: Line is a JSON
// object, which E2B's CLI looks into.
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

func (s *Server) listLogsV1(w http.ResponseWriter, r *http.Request) error {
	filter := sandboxes.LogFilter{}
	var err error
	if filter.From, err = millisecondsQuery(r.URL.Query(), "start"); err != nil {
		return err
	}
	entries, err := s.listLogs(r, filter)
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
	writeJSON(w, http.StatusOK, map[string]any{"logs": lines, "logEntries": entries})
	return nil
}

func (s *Server) listLogsV2(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	filter := sandboxes.LogFilter{Level: sandboxes.LogLevel(query.Get("level")), Search: query.Get("search")}
	var err error
	if filter.From, err = millisecondsQuery(query, "cursor"); err != nil {
		return err
	}
	switch query.Get("direction") {
	case "", "forward":
	case "backward":
		filter.Backward = true
	default:
		return fault.New(fault.Invalid, "direction must be forward or backward")
	}
	if filter.Level != "" && !slices.Contains(sandboxes.LogLevels(), filter.Level) {
		return fault.New(fault.Invalid, "level must be debug, info, warn or error")
	}
	if len(filter.Search) > maxSearchBytes || strings.ContainsRune(filter.Search, 0) {
		return fault.New(fault.Invalid, "search must be at most %d bytes, none of them zero", maxSearchBytes)
	}
	entries, err := s.listLogs(r, filter)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"logs": entries})
	return nil
}

func (s *Server) listLogs(r *http.Request, filter sandboxes.LogFilter) ([]logEntry, error) {
	filter.Limit = maxLogLines
	if text := r.URL.Query().Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 0 || limit > maxLogLines {
			return nil, fault.New(fault.Invalid, "limit must be a number from 0 to %d", maxLogLines)
		}
		filter.Limit = limit
	}
	lines, err := s.Sandboxes.Logs(r.Context(), teamOf(r), sandboxOf(r), filter)
	if err != nil {
		return nil, err
	}
	entries := make([]logEntry, 0, len(lines))
	for _, line := range lines {
		entries = append(entries, logEntryOf(line))
	}
	return entries, nil
}

func logEntryOf(line rows.SandboxLog) logEntry {
	return logEntry{Timestamp: line.At.UTC(), Message: line.Message, Level: line.Level, Fields: line.Fields}
}

// maxUnixSeconds is the year 9999, within what PostgreSQL can store.
const maxUnixSeconds = 253_402_300_799

// millisecondsQuery reads a time in milliseconds since 1970; zero where there is
// none.
func millisecondsQuery(query url.Values, name string) (time.Time, error) {
	const perSecond = 1000
	return timeQuery(query, name, perSecond)
}

// timeQuery reads a time in parts of a second since 1970; zero where there is none.
func timeQuery(query url.Values, name string, perSecond int64) (time.Time, error) {
	text := query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number/perSecond > maxUnixSeconds {
		return time.Time{}, fault.New(fault.Invalid, "%s must be a time since 1970 in whole numbers", name)
	}
	return time.Unix(number/perSecond, number%perSecond*int64(time.Second)/perSecond), nil
}
