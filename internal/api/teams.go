package api

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func (s *Server) routeTeams(router chi.Router) {
	router.Get("/teams", s.handle(s.listTeams))
	router.Post("/teams", s.handle(s.createTeam))
	router.Patch("/teams/{teamID}", s.handle(s.renameTeam))
	router.Delete("/teams/{teamID}", s.handle(s.deleteTeam))
	router.Post("/teams/{teamID}/tokens/rotate", s.handle(s.rotateTeamTokens))
	router.Get("/teams/{teamID}/members", s.handle(s.listMembers))
	router.Patch("/teams/{teamID}/members/{userID}", s.handle(s.setMemberRole))
	router.Delete("/teams/{teamID}/members/{userID}", s.handle(s.removeMember))
	router.Get("/teams/{teamID}/invitations", s.handle(s.listInvitations))
	router.Post("/teams/{teamID}/invitations", s.handle(s.invite))
	router.Delete("/teams/{teamID}/invitations/{invitationID}", s.handle(s.revokeInvitation))
}

// TeamDeletion deletes teams with all that they have.
type TeamDeletion interface {
	Delete(ctx context.Context, teamID uuid.UUID) error
}

type nameBody struct {
	Name string `json:"name"`
}

// teamAnswer is a team in a list. Clients expect apiKey; keys cannot be read back,
// so it is empty.
type teamAnswer struct {
	TeamID    string    `json:"teamID"`
	Name      string    `json:"name"`
	APIKey    string    `json:"apiKey"`
	IsDefault bool      `json:"isDefault"`
	Role      auth.Role `json:"role,omitempty"`
}

func (s *Server) listTeams(w http.ResponseWriter, r *http.Request) error {
	teams, err := s.Identity.Teams(r.Context(), auth.PrincipalOf(r.Context()).UserID)
	if err != nil {
		return err
	}
	answer := []teamAnswer{}
	for i, team := range teams {
		answer = append(answer, teamAnswer{TeamID: team.ID.String(), Name: team.Name, IsDefault: i == 0, Role: auth.Role(team.Role)})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) createTeam(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := decode(r, &body); err != nil {
		return err
	}
	team, err := s.Identity.CreateTeam(r.Context(), auth.PrincipalOf(r.Context()).UserID, body.Name)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, teamOfRow(team, auth.Owner))
	return nil
}

func (s *Server) renameTeam(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := decode(r, &body); err != nil {
		return err
	}
	principal := auth.PrincipalOf(r.Context())
	team, err := s.Identity.RenameTeam(r.Context(), principal.TeamID, body.Name)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, teamOfRow(team, principal.Role))
	return nil
}

func (s *Server) deleteTeam(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.TeamDeletion.Delete(r.Context(), teamOf(r)))
}

func teamOfRow(team rows.Team, role auth.Role) teamAnswer {
	return teamAnswer{TeamID: team.ID.String(), Name: team.Name, Role: role}
}
