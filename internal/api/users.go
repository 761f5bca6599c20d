package api

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (s *Server) routeUsers(router chi.Router) {
	router.Get("/admin/users", s.handle(s.listUsers))
	router.Patch("/admin/users/{userID}", s.handle(s.changeUser))
}

// userAnswer is a user as admins of the installation see them.
type userAnswer struct {
	ID            uuid.UUID  `json:"id"`
	Email         string     `json:"email"`
	Name          string     `json:"name"`
	PlatformAdmin bool       `json:"platformAdmin"`
	SecondFactor  bool       `json:"secondFactor"`
	CreatedAt     time.Time  `json:"createdAt"`
	DisabledAt    *time.Time `json:"disabledAt"`
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := pageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	users, next, err := s.Identity.Users(r.Context(), query.Get("nextToken"), size)
	if err != nil {
		return err
	}
	answer := []userAnswer{}
	for _, user := range users {
		answer = append(answer, userAnswer{
			ID: user.ID, Email: user.Email, Name: user.Name, PlatformAdmin: user.PlatformAdmin,
			SecondFactor: user.HasSecondFactor, CreatedAt: user.CreatedAt.UTC(), DisabledAt: user.DisabledAt,
		})
	}
	if next != "" {
		w.Header().Set("X-Next-Token", next)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) changeUser(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Disabled      *bool `json:"disabled"`
		PlatformAdmin *bool `json:"platformAdmin"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	userID, err := idOf(r, "userID", "user")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.ChangeUser(r.Context(), userID, identity.UserChange(body)))
}
