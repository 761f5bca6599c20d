package activity

import (
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func (h *Handlers) getTeamAudit(w http.ResponseWriter, r *http.Request) error {
	return h.getAudit(w, r, request.Team(r))
}

// getAnyAudit lists entries of any team, or those of no team, for platform admins.
func (h *Handlers) getAnyAudit(w http.ResponseWriter, r *http.Request) error {
	team, err := request.TeamAsked(r)
	if err != nil {
		return err
	}
	return h.getAudit(w, r, team)
}

// getAudit answers with a page of entries, or with all of them as a file.
func (h *Handlers) getAudit(w http.ResponseWriter, r *http.Request, team uuid.UUID) error {
	query, err := auditQuery(r.URL.Query())
	if err != nil {
		return err
	}
	query.TeamID = team
	switch r.URL.Query().Get("format") {
	case "", "json":
		return h.listAudit(w, r, query)
	case "jsonl":
		return export(w, h.Audit.All(r.Context(), query), "application/x-ndjson", "audit.jsonl", writeJSONLines)
	case "csv":
		return export(w, h.Audit.All(r.Context(), query), "text/csv; charset=utf-8", "audit.csv", writeCSV)
	default:
		return fault.New(fault.Invalid, "format must be json, jsonl or csv")
	}
}

func (h *Handlers) listAudit(w http.ResponseWriter, r *http.Request, query audit.Query) error {
	limit, err := request.PageSize(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	query.Limit = limit + 1
	entries, err := h.Audit.List(r.Context(), query)
	if err != nil {
		return err
	}
	if len(entries) > limit {
		entries = entries[:limit]
		w.Header().Set("X-Next-Token", strconv.FormatInt(entries[limit-1].ID, 10))
	}
	answer := make([]entryAnswer, 0, len(entries))
	for _, entry := range entries {
		answer = append(answer, entryOf(entry))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

// export writes entries as a file. If that fails halfway it breaks the connection, so
// that the part does not look complete.
func export(
	w http.ResponseWriter, entries iter.Seq2[audit.Entry, error], contentType, name string,
	write func(iter.Seq2[audit.Entry, error], io.Writer) error,
) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", "attachment; filename="+name)
	if err := write(entries, w); err != nil {
		if counted, ok := w.(middleware.WrapResponseWriter); ok && counted.BytesWritten() == 0 {
			w.Header().Del("Content-Disposition")
			return err
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

func auditQuery(given url.Values) (audit.Query, error) {
	query := audit.Query{
		ActorID: given.Get("actor"), Action: given.Get("action"),
		ResourceID: given.Get("resource"), Outcome: audit.Outcome(given.Get("outcome")),
	}
	for _, name := range []string{"actor", "action", "resource"} {
		if strings.ContainsRune(given.Get(name), 0) {
			return query, fault.New(fault.Invalid, "%s must not contain a zero byte", name)
		}
	}
	if query.Outcome != "" && !audit.IsOutcome(string(query.Outcome)) {
		return query, fault.New(fault.Invalid, "outcome must be success, denied or failure")
	}
	for name, bound := range map[string]*time.Time{"since": &query.Since, "until": &query.Until} {
		text := given.Get(name)
		if text == "" {
			continue
		}
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return query, fault.New(fault.Invalid, "%s must be a time such as 2006-01-02T15:04:05Z", name)
		}
		*bound = parsed
	}
	if text := given.Get("nextToken"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < 1 {
			return query, fault.New(fault.Invalid, "nextToken is not one that was given out")
		}
		query.BeforeID = id
	}
	return query, nil
}

type entryAnswer struct {
	ID        int64           `json:"id"`
	At        time.Time       `json:"at"`
	TeamID    uuid.UUID       `json:"teamID"`
	Actor     actorAnswer     `json:"actor"`
	Action    string          `json:"action"`
	Resource  resourceAnswer  `json:"resource"`
	Outcome   audit.Outcome   `json:"outcome"`
	Status    int             `json:"status"`
	Address   string          `json:"address"`
	UserAgent string          `json:"userAgent"`
	RequestID string          `json:"requestID"`
	Details   json.RawMessage `json:"details"`
}

type actorAnswer struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type resourceAnswer struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

func entryOf(entry audit.Entry) entryAnswer {
	return entryAnswer{
		ID: entry.ID, At: entry.At, TeamID: entry.TeamID, Actor: actorAnswer(entry.Actor), Action: entry.Action,
		Resource: resourceAnswer(entry.Resource), Outcome: entry.Outcome, Status: entry.Status, Address: entry.Address,
		UserAgent: entry.UserAgent, RequestID: entry.RequestID, Details: entry.Details,
	}
}
