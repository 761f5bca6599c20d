package account

import (
	"net/http"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (h *Handlers) routeMe(router respond.Router) {
	router.Get("/me", h.showMe)
	router.Patch("/me", h.renameMe)
	router.Post("/me/invitations", h.acceptInvitation)
}

// meAnswer is the user who asks.
type meAnswer struct {
	ID            uuid.UUID        `json:"id"`
	Email         string           `json:"email"`
	Name          string           `json:"name"`
	PlatformAdmin bool             `json:"platformAdmin"`
	HasPassword   bool             `json:"hasPassword"`
	SecondFactor  bool             `json:"secondFactor"`
	Teams         []membershipInfo `json:"teams"`
	// CSRFToken is set only in the answer to a request with a session.
	CSRFToken string `json:"csrfToken,omitempty"`
}

// membershipInfo is a team, and the user's role and permissions in it.
type membershipInfo struct {
	TeamID      string            `json:"teamID"`
	Name        string            `json:"name"`
	Role        auth.Role         `json:"role"`
	Permissions []auth.Permission `json:"permissions"`
}

func (h *Handlers) meOf(r *http.Request) (meAnswer, error) {
	userID := auth.PrincipalOf(r.Context()).UserID
	user, err := h.Identity.User(r.Context(), userID)
	if err != nil {
		return meAnswer{}, err
	}
	teams, err := h.Identity.Teams(r.Context(), userID)
	if err != nil {
		return meAnswer{}, err
	}
	answer := meAnswer{
		ID: user.ID, Email: user.Email, Name: user.Name, PlatformAdmin: user.PlatformAdmin,
		HasPassword: user.HasPassword, SecondFactor: user.HasSecondFactor, Teams: []membershipInfo{},
	}
	for _, membership := range teams {
		answer.Teams = append(answer.Teams, membershipOf(membership))
	}
	return answer, nil
}

func membershipOf(membership identity.Membership) membershipInfo {
	return membershipInfo{
		TeamID: membership.Team.ID.String(), Name: membership.Team.Name, Role: membership.Role, Permissions: membership.Role.Permissions(),
	}
}

func (h *Handlers) showMe(w http.ResponseWriter, r *http.Request) error {
	answer, err := h.meOf(r)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) renameMe(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if err := h.Identity.RenameUser(r.Context(), auth.PrincipalOf(r.Context()).UserID, body.Name); err != nil {
		return err
	}
	return h.showMe(w, r)
}
