package account

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
)

func (h *Handlers) routeTeams(router respond.Router) {
	router.Get("/teams", h.listTeams)
	router.Post("/teams", h.createTeam)
	router.Patch("/teams/{teamID}", h.changeTeam)
	router.Get("/admin/teams", h.listAllTeams)
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
	// Isolation is what it demands; "any" for none.
	Isolation string `json:"isolation"`
}

func (h *Handlers) listTeams(w http.ResponseWriter, r *http.Request) error {
	memberships, err := h.Identity.Teams(r.Context(), auth.PrincipalOf(r.Context()).UserID)
	if err != nil {
		return err
	}
	answer := []teamAnswer{}
	for i, membership := range memberships {
		listed := teamOf(membership.Team, membership.Role)
		listed.IsDefault = i == 0
		answer = append(answer, listed)
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

func (h *Handlers) changeTeam(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name      *string `json:"name,omitempty"`
		Isolation *string `json:"isolation,omitempty"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if body.Name == nil && body.Isolation == nil {
		return fault.New(fault.Invalid, "name or isolation must be given")
	}
	change := teams.Change{Name: body.Name}
	if body.Isolation != nil {
		demand := sandbox.Isolation(*body.Isolation)
		if demand == "" {
			return fault.New(fault.Invalid, "isolation must be vm, gvisor or any")
		}
		if demand == sandbox.Any {
			demand = ""
		}
		change.Isolation = &demand
	}
	audit.SetDetails(r.Context(), body)
	principal := auth.PrincipalOf(r.Context())
	team, err := h.TeamSettings.Change(r.Context(), principal.TeamID, change)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, teamOf(team, principal.Role))
	return nil
}

// installationTeam is a team in the list of all.
type installationTeam struct {
	TeamID    uuid.UUID `json:"teamID"`
	Slug      string    `json:"slug"`
	Name      string    `json:"name"`
	Isolation string    `json:"isolation"`
	CreatedAt time.Time `json:"createdAt"`
}

func (h *Handlers) listAllTeams(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := request.PageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	after := uuid.Nil
	if token := query.Get("nextToken"); token != "" {
		if after, err = uuid.Parse(token); err != nil {
			return fault.New(fault.Invalid, "nextToken is not one of a page")
		}
	}
	page, next, err := h.TeamSettings.List(r.Context(), after, size)
	if err != nil {
		return err
	}
	answer := make([]installationTeam, 0, len(page))
	for _, team := range page {
		answer = append(answer, installationTeam{team.ID, team.Slug, team.Name, team.Isolation.OrAny(), team.CreatedAt})
	}
	if next != uuid.Nil {
		w.Header().Set("X-Next-Token", next.String())
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) deleteTeam(w http.ResponseWriter, r *http.Request) error {
	return respond.NoContent(w, h.TeamDeletion.Delete(r.Context(), request.Team(r)))
}

func teamOf(team identity.Team, role auth.Role) teamAnswer {
	return teamAnswer{TeamID: team.ID.String(), Name: team.Name, Role: role, Isolation: team.Isolation.OrAny()}
}

func (h *Handlers) rotateTeamTokens(w http.ResponseWriter, r *http.Request) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.RotateTeamTokens(r.Context(), auth.PrincipalOf(r.Context()).TeamID))
}
