package credits

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// most is what one top-up may give.
const most = 1_000_000

// Routes are below /extensions/credits.
func (e *Extension) Routes(routes cpextension.Routes) {
	routes.Public().Get("/price", e.handle(e.showPrice))
	routes.Team(auth.UsageRead).Get("/balance", e.handle(e.showBalance))
	routes.Admin().Post("/teams/{teamID}/top-ups", e.handle(e.addTopUp))
}

// AfterAuth marks answers, to show that middlewares see the control plane's own
// routes too.
func (e *Extension) AfterAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Paid-With", "credits")
		next.ServeHTTP(w, r)
	})
}

// Pages are pages of the dashboard.
func (e *Extension) Pages() []cpextension.Page {
	return []cpextension.Page{{Title: "Credits", Path: "/overview", Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprint(w, "<!doctype html><title>Credits</title><h1>Each sandbox that starts takes a credit</h1>")
		})}}
}

// handle answers errors as the control plane does.
func (e *Extension) handle(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handler(w, r); err != nil {
			e.server.Fail(w, r, err)
		}
	}
}

func (e *Extension) showPrice(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, map[string]int64{"creditsPerSandbox": 1})
}

func (e *Extension) showBalance(w http.ResponseWriter, r *http.Request) error {
	credits, err := e.charge(r.Context(), auth.PrincipalOf(r.Context()).TeamID)
	if err != nil {
		return err
	}
	return answer(w, map[string]int64{"credits": credits})
}

func (e *Extension) addTopUp(w http.ResponseWriter, r *http.Request) error {
	teamID, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return fault.New(fault.NotFound, "there is no such team")
	}
	var body struct {
		Credits int64 `json:"credits"`
	}
	decoder := json.NewDecoder(r.Body) // which the server bounds
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || body.Credits < 1 || body.Credits > most {
		return fault.New(fault.Invalid, "credits must be a number from 1 to %d", most)
	}
	if err := e.topUp(r.Context(), teamID, body.Credits); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func answer(w http.ResponseWriter, body any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(body)
}
