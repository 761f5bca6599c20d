package account

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

type memberAnswer struct {
	ID           uuid.UUID `json:"id"`
	Email        string    `json:"email"`
	Name         string    `json:"name"`
	Role         auth.Role `json:"role"`
	SecondFactor bool      `json:"secondFactor"`
	JoinedAt     time.Time `json:"joinedAt"`
}

type invitationAnswer struct {
	ID        uuid.UUID `json:"id"`
	Email     string    `json:"email"`
	Role      auth.Role `json:"role"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func invitationOf(i identity.Invitation) invitationAnswer {
	return invitationAnswer{ID: i.ID, Email: i.Email, Role: i.Role, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt}
}

func (h *Handlers) listMembers(w http.ResponseWriter, r *http.Request) error {
	members, err := h.Identity.Members(r.Context(), request.Team(r))
	if err != nil {
		return err
	}
	answer := []memberAnswer{}
	for _, member := range members {
		answer = append(answer, memberAnswer{
			ID: member.UserID, Email: member.Email, Name: member.Name, Role: member.Role,
			SecondFactor: member.HasSecondFactor, JoinedAt: member.JoinedAt,
		})
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) setMemberRole(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Role auth.Role `json:"role"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	userID, err := request.ID(r, "userID", "member")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.SetRole(r.Context(), auth.PrincipalOf(r.Context()), userID, body.Role))
}

func (h *Handlers) removeMember(w http.ResponseWriter, r *http.Request) error {
	userID, err := request.ID(r, "userID", "member")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.RemoveMember(r.Context(), auth.PrincipalOf(r.Context()), userID))
}

func (h *Handlers) listInvitations(w http.ResponseWriter, r *http.Request) error {
	invitations, err := h.Identity.Invitations(r.Context(), request.Team(r))
	if err != nil {
		return err
	}
	answer := []invitationAnswer{}
	for _, i := range invitations {
		answer = append(answer, invitationOf(i))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) invite(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Email string    `json:"email"`
		Role  auth.Role `json:"role"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	i, err := h.Identity.Invite(r.Context(), auth.PrincipalOf(r.Context()), body.Email, body.Role)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, invitationOf(i))
	return nil
}

func (h *Handlers) revokeInvitation(w http.ResponseWriter, r *http.Request) error {
	invitationID, err := request.ID(r, "invitationID", "invitation")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.RevokeInvitation(r.Context(), request.Team(r), invitationID))
}
