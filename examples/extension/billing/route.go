package billing

import (
	"html/template"
	"net/http"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// bill is what a team has been charged.
type bill struct {
	Sandboxes int64 `json:"sandboxes"`
	Cents     int64 `json:"cents"`
}

// plan is how many sandboxes a team may run at a time.
type plan struct {
	TeamID    uuid.UUID `json:"teamID"`
	Sandboxes int64     `json:"sandboxes"`
}

// Routes are below /extensions/billing. The server checks who calls before a handler
// runs, and writes an audit entry for each request that is not a GET.
func (e *Extension) Routes(routes cpextension.Routes) {
	routes.Team(auth.UsageRead).Get("/bill", e.server.Handle(e.showBill))
	routes.Admin().Put("/plans", e.server.Handle(e.setPlan))
}

// Describe puts the routes into the API's OpenAPI document and documentation.
func (e *Extension) Describe() map[string]cpextension.Description {
	return map[string]cpextension.Description{
		"GET /bill":  {Summary: "Get what the team has been charged", Answer: bill{}},
		"PUT /plans": {Summary: "Set how many sandboxes a team may run at a time", Request: plan{}},
	}
}

func (e *Extension) showBill(w http.ResponseWriter, r *http.Request) error {
	found, err := e.store.bill(r.Context(), auth.PrincipalOf(r.Context()).TeamID)
	if err != nil {
		return err // is logged, and answered as an internal error without its text
	}
	return cpextension.AnswerJSON(w, http.StatusOK, found)
}

func (e *Extension) setPlan(w http.ResponseWriter, r *http.Request) error {
	var wanted plan
	if err := cpextension.DecodeJSON(r, &wanted); err != nil {
		return err
	}
	if wanted.TeamID == uuid.Nil || wanted.Sandboxes < 1 {
		return fault.New(fault.Invalid, "teamID is needed, and sandboxes must be at least 1")
	}
	if err := e.store.setPlan(r.Context(), wanted); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

var pricePage = template.Must(template.New("prices").Parse(
	`<!doctype html><title>Prices</title><h1>Prices</h1><p>A sandbox costs {{.Cents}} cents. {{.Quota}} run at a time without a plan.</p>`))

// Pages are in the dashboard's menu, for users who have signed in.
func (e *Extension) Pages() []cpextension.Page {
	return []cpextension.Page{{Title: "Prices", Path: "/prices", Handler: e.server.Handle(
		func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			return pricePage.Execute(w, e.settings)
		})}}
}
