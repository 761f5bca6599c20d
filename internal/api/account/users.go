package account

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (h *Handlers) routeUsers(router respond.Router) {
	router.Get("/admin/users", h.listUsers)
	router.Patch("/admin/users/{userID}", h.changeUser)
}

// userAnswer is a user in the list for platform admins.
type userAnswer struct {
	ID            uuid.UUID  `json:"id"`
	Email         string     `json:"email"`
	Name          string     `json:"name"`
	PlatformAdmin bool       `json:"platformAdmin"`
	SecondFactor  bool       `json:"secondFactor"`
	CreatedAt     time.Time  `json:"createdAt"`
	DisabledAt    *time.Time `json:"disabledAt"`
}

func (h *Handlers) listUsers(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := request.PageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	users, next, err := h.Identity.Users(r.Context(), query.Get("nextToken"), size)
	if err != nil {
		return err
	}
	answer := []userAnswer{}
	for _, user := range users {
		answer = append(answer, userAnswer{
			ID: user.ID, Email: user.Email, Name: user.Name, PlatformAdmin: user.PlatformAdmin,
			SecondFactor: user.HasSecondFactor, CreatedAt: user.CreatedAt, DisabledAt: user.DisabledAt,
		})
	}
	if next != "" {
		w.Header().Set("X-Next-Token", next)
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) changeUser(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Disabled      *bool `json:"disabled"`
		PlatformAdmin *bool `json:"platformAdmin"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	userID, err := request.ID(r, "userID", "user")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.ChangeUser(r.Context(), userID, identity.UserChange{Disabled: body.Disabled, PlatformAdmin: body.PlatformAdmin}))
}
