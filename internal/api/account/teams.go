package account

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (h *Handlers) routeTeams(router respond.Router) {
	router.Get("/teams", h.listTeams)
	router.Post("/teams", h.createTeam)
	router.Patch("/teams/{teamID}", h.renameTeam)
	router.Delete("/teams/{teamID}", h.deleteTeam)
	router.Post("/teams/{teamID}/tokens/rotate", h.rotateTeamTokens)
	router.Get("/teams/{teamID}/members", h.listMembers)
	router.Patch("/teams/{teamID}/members/{userID}", h.setMemberRole)
	router.Delete("/teams/{teamID}/members/{userID}", h.removeMember)
	router.Get("/teams/{teamID}/invitations", h.listInvitations)
	router.Post("/teams/{teamID}/invitations", h.invite)
	router.Delete("/teams/{teamID}/invitations/{invitationID}", h.revokeInvitation)
}

type nameBody struct {
	Name string `json:"name"`
}

// teamAnswer is a team in a list. Clients of E2B expect apiKey; it is empty because keys
// cannot be read back.
type teamAnswer struct {
	TeamID    string    `json:"teamID"`
	Name      string    `json:"name"`
	APIKey    string    `json:"apiKey"`
	IsDefault bool      `json:"isDefault"`
	Role      auth.Role `json:"role,omitempty"`
}

func (h *Handlers) listTeams(w http.ResponseWriter, r *http.Request) error {
	teams, err := h.Identity.Teams(r.Context(), auth.PrincipalOf(r.Context()).UserID)
	if err != nil {
		return err
	}
	answer := []teamAnswer{}
	for i, membership := range teams {
		answer = append(answer, teamAnswer{TeamID: membership.Team.ID.String(), Name: membership.Team.Name, IsDefault: i == 0, Role: membership.Role})
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) createTeam(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	team, err := h.Identity.CreateTeam(r.Context(), auth.PrincipalOf(r.Context()).UserID, body.Name)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, teamOf(team, auth.Owner))
	return nil
}

func (h *Handlers) renameTeam(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	principal := auth.PrincipalOf(r.Context())
	team, err := h.Identity.RenameTeam(r.Context(), principal.TeamID, body.Name)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, teamOf(team, principal.Role))
	return nil
}

func (h *Handlers) deleteTeam(w http.ResponseWriter, r *http.Request) error {
	return respond.NoContent(w, h.TeamDeletion.Delete(r.Context(), request.Team(r)))
}

func teamOf(team identity.Team, role auth.Role) teamAnswer {
	return teamAnswer{TeamID: team.ID.String(), Name: team.Name, Role: role}
}

func (h *Handlers) rotateTeamTokens(w http.ResponseWriter, r *http.Request) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.RotateTeamTokens(r.Context(), auth.PrincipalOf(r.Context()).TeamID))
}
