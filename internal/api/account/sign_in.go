package account

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (h *Handlers) routeSignIn(router respond.Router) {
	router.Post("/auth/login", h.login)
	router.Post("/auth/logout", h.logout)
	router.Get("/auth/session", h.showSession)
	router.Post("/auth/first-admin", h.makeFirstAdmin)
	router.Post("/auth/local", h.signInLocally)
	router.Post("/auth/local/link", h.makeLocalLink)
	router.Post("/auth/password/reset-request", h.requestPasswordReset)
	router.Post("/auth/password/reset", h.resetPassword)
	router.Post("/auth/password/change", h.changePassword)
	router.Post("/auth/totp/login", h.secondFactor)
	router.Post("/auth/totp/enrol", h.enrolTOTP)
	router.Post("/auth/totp/confirm", h.confirmTOTP)
	router.Post("/auth/totp/recovery-codes", h.newRecoveryCodes)
	router.Post("/auth/totp/remove", h.removeTOTP)
	router.Post("/auth/invitations/show", h.showInvitation)
	router.Post("/auth/invitations/register", h.registerInvited)
	router.Get("/auth/oidc", h.listProviders)
	router.Get("/auth/oidc/{provider}/start", h.beginExternal)
	router.Get("/auth/oidc/{provider}/callback", h.finishExternal)
	router.Post("/auth/oidc/{provider}/callback", h.finishExternal)
}

// signInAnswer is a session, or the challenge that a second factor must answer.
type signInAnswer struct {
	// SecondFactor is true if a code of the second factor is needed; then Challenge is set.
	SecondFactor bool       `json:"secondFactor"`
	Challenge    string     `json:"challenge,omitempty"`
	CSRFToken    string     `json:"csrfToken,omitempty"`
	ExpiresAt    *time.Time `json:"expiresAt,omitempty"`
}

func (h *Handlers) clientOf(r *http.Request) identity.Client {
	return identity.Client{Address: h.Access.Clients.Address(r), UserAgent: r.UserAgent()}
}

// answerSession sets the session's cookie.
func (h *Handlers) answerSession(w http.ResponseWriter, r *http.Request, session identity.Session) {
	noteSignIn(r, session)
	h.Access.SetCookie(w, access.SessionCookie, session.Token, identity.SessionLife)
	expires := session.ExpiresAt.UTC()
	respond.JSON(w, http.StatusOK, signInAnswer{CSRFToken: auth.CSRFToken(session.Token), ExpiresAt: &expires})
}

// noteSignIn sets the actor of the audit entry.
func noteSignIn(r *http.Request, session identity.Session) {
	audit.SetActor(r.Context(), audit.Actor{Kind: string(auth.BySession), ID: session.UserID.String(), Name: session.Email})
}

func (h *Handlers) login(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	audit.SetActor(r.Context(), audit.Actor{Kind: string(auth.BySession), Name: body.Email})
	signedIn, err := h.Identity.Login(r.Context(), body.Email, body.Password, h.clientOf(r))
	if err != nil {
		return err
	}
	h.answerSignIn(w, r, signedIn)
	return nil
}

// answerSignIn answers with a session, or with the challenge of the second factor.
func (h *Handlers) answerSignIn(w http.ResponseWriter, r *http.Request, signedIn identity.SignIn) {
	if signedIn.Challenge != "" {
		respond.JSON(w, http.StatusOK, signInAnswer{SecondFactor: true, Challenge: signedIn.Challenge})
		return
	}
	h.answerSession(w, r, signedIn.Session)
}

func (h *Handlers) logout(w http.ResponseWriter, r *http.Request) error {
	err := h.Identity.Logout(r.Context(), h.Access.Credentials(r).Session)
	h.Access.SetCookie(w, access.SessionCookie, "", 0)
	return respond.NoContent(w, err)
}

func (h *Handlers) showSession(w http.ResponseWriter, r *http.Request) error {
	answer, err := h.meOf(r)
	if err != nil {
		return err
	}
	answer.CSRFToken = auth.CSRFToken(h.Access.Credentials(r).Session)
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) makeFirstAdmin(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token    string `json:"token"`
		Email    string `json:"email"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	wanted := identity.NewUser{Email: body.Email, Name: body.Name, Password: body.Password}
	session, err := h.Identity.MakeFirstAdmin(r.Context(), body.Token, h.FirstTeam, wanted, h.clientOf(r))
	if err != nil {
		return err
	}
	h.answerSession(w, r, session)
	return nil
}
