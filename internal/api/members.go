package api

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

type memberAnswer struct {
	ID           uuid.UUID `json:"id"`
	Email        string    `json:"email"`
	Name         string    `json:"name"`
	Role         string    `json:"role"`
	SecondFactor bool      `json:"secondFactor"`
	JoinedAt     time.Time `json:"joinedAt"`
}

type invitationAnswer struct {
	ID        uuid.UUID `json:"id"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// idOf reads a UUID in a request's path.
func idOf(r *http.Request, parameter, what string) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, parameter))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "the ID of the %s is not a UUID", what)
	}
	return id, nil
}

func (s *Server) listMembers(w http.ResponseWriter, r *http.Request) error {
	members, err := s.Identity.Members(r.Context(), teamOf(r))
	if err != nil {
		return err
	}
	answer := []memberAnswer{}
	for _, member := range members {
		answer = append(answer, memberAnswer{
			ID: member.UserID, Email: member.Email, Name: member.Name, Role: member.Role,
			SecondFactor: member.HasSecondFactor, JoinedAt: member.CreatedAt.UTC(),
		})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) setMemberRole(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Role string `json:"role"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	userID, err := idOf(r, "userID", "member")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.SetRole(r.Context(), auth.PrincipalOf(r.Context()), userID, body.Role))
}

func (s *Server) removeMember(w http.ResponseWriter, r *http.Request) error {
	userID, err := idOf(r, "userID", "member")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.RemoveMember(r.Context(), auth.PrincipalOf(r.Context()), userID))
}

func (s *Server) listInvitations(w http.ResponseWriter, r *http.Request) error {
	invitations, err := s.Identity.Invitations(r.Context(), teamOf(r))
	if err != nil {
		return err
	}
	answer := []invitationAnswer{}
	for _, i := range invitations {
		answer = append(answer, invitationAnswer{ID: i.ID, Email: i.Email, Role: i.Role, CreatedAt: i.CreatedAt.UTC(), ExpiresAt: i.ExpiresAt.UTC()})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Email string `json:"email"`
		Role  string `json:"role"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	i, err := s.Identity.Invite(r.Context(), auth.PrincipalOf(r.Context()), body.Email, body.Role)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, invitationAnswer{ID: i.ID, Email: i.Email, Role: i.Role, CreatedAt: i.CreatedAt.UTC(), ExpiresAt: i.ExpiresAt.UTC()})
	return nil
}

func (s *Server) revokeInvitation(w http.ResponseWriter, r *http.Request) error {
	invitationID, err := idOf(r, "invitationID", "invitation")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.RevokeInvitation(r.Context(), teamOf(r), invitationID))
}
