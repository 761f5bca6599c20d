package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	domain "git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// bareSandbox is a sandbox in a list of the API.
type bareSandbox struct {
	TemplateID  string            `json:"templateID"`
	Alias       string            `json:"alias,omitempty"`
	SandboxID   string            `json:"sandboxID"`
	ClientID    string            `json:"clientID"`
	StartedAt   time.Time         `json:"startedAt"`
	EndAt       time.Time         `json:"endAt"`
	CPUCount    int32             `json:"cpuCount"`
	MemoryMB    int32             `json:"memoryMB"`
	DiskSizeMB  int32             `json:"diskSizeMB"`
	Metadata    map[string]string `json:"metadata"`
	State       domain.State      `json:"state"`
	EnvdVersion string            `json:"envdVersion"`
	PauseMode   string            `json:"pauseMode,omitempty"`
}

type bareDetail struct {
	bareSandbox
	EnvdAccessToken     string       `json:"envdAccessToken"`
	AllowInternetAccess *bool        `json:"allowInternetAccess"`
	Domain              string       `json:"domain"`
	Network             rows.Network `json:"network"`
	Lifecycle           struct {
		AutoResume bool   `json:"autoResume"`
		OnTimeout  string `json:"onTimeout"`
	} `json:"lifecycle"`
}

// bareHandler answers what the API does from the same queries, without any check of
// who asks: the header X-Team-ID names the team.
func bareHandler(queries *rows.Queries, tokens *auth.Tokens) http.Handler {
	router := chi.NewRouter()
	router.Get("/sandboxes/{sandboxID}", func(w http.ResponseWriter, r *http.Request) {
		row, err := queries.GetSandbox(r.Context(), chi.URLParam(r, "sandboxID"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		detail := bareDetail{
			bareSandbox: bareOf(row), EnvdAccessToken: tokens.EnvdAccess(row.ID, auth.Epochs{}),
			AllowInternetAccess: row.AllowInternetAccess, Domain: apiDomain, Network: row.Network,
		}
		detail.Lifecycle.OnTimeout = "kill"
		bareJSON(w, detail)
	})
	router.Get("/v2/sandboxes", func(w http.ResponseWriter, r *http.Request) {
		found, running, err := bareList(r, queries)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer := make([]bareSandbox, 0, len(found))
		for _, row := range found {
			answer = append(answer, bareOf(row))
		}
		w.Header().Set("X-Total-Running", strconv.FormatInt(running, 10))
		bareJSON(w, answer)
	})
	return router
}

// bareList queries the page, and the number that the API answers in X-Total-Running.
func bareList(r *http.Request, queries *rows.Queries) ([]rows.Sandbox, int64, error) {
	team, err := uuid.Parse(r.Header.Get("X-Team-ID"))
	if err != nil {
		return nil, 0, err
	}
	noFilter := []byte("{}")
	found, err := queries.ListSandboxesNewest(r.Context(), rows.ListSandboxesNewestParams{
		TeamID: team, States: []string{"running", "pausing", "paused", "resuming"}, MetadataFilter: noFilter,
		CursorTime: time.Now().Add(time.Hour), PageSize: sandboxesEach + 1,
	})
	if err != nil {
		return nil, 0, err
	}
	running, err := queries.CountRunning(r.Context(), rows.CountRunningParams{TeamID: team, MetadataFilter: noFilter})
	return found, running, err
}

func bareOf(row rows.Sandbox) bareSandbox {
	shown := bareSandbox{
		TemplateID: row.TemplateID, Alias: row.Alias, SandboxID: row.ID, ClientID: "wrenn",
		StartedAt: row.StartedAt.UTC(), EndAt: row.EndAt.UTC(),
		CPUCount: row.VCPUCount, MemoryMB: row.MemoryMiB, DiskSizeMB: row.DiskMiB,
		Metadata: row.Metadata, State: row.State, EnvdVersion: row.EnvdVersion,
	}
	if row.State == domain.Paused {
		shown.PauseMode = "full"
	}
	return shown
}

func bareJSON(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}
