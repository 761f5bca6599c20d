package api

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (s *Server) routeAuth(router chi.Router) {
	router.Post("/auth/login", s.handle(s.login))
	router.Post("/auth/logout", s.handle(s.logout))
	router.Get("/auth/session", s.handle(s.showSession))
	router.Post("/auth/first-admin", s.handle(s.makeFirstAdmin))
	router.Post("/auth/password/reset-request", s.handle(s.requestPasswordReset))
	router.Post("/auth/password/reset", s.handle(s.resetPassword))
	router.Post("/auth/password/change", s.handle(s.changePassword))
	router.Post("/auth/totp/login", s.handle(s.secondFactor))
	router.Post("/auth/totp/enrol", s.handle(s.enrolTOTP))
	router.Post("/auth/totp/confirm", s.handle(s.confirmTOTP))
	router.Post("/auth/totp/recovery-codes", s.handle(s.newRecoveryCodes))
	router.Post("/auth/totp/remove", s.handle(s.removeTOTP))
	router.Post("/auth/invitations/show", s.handle(s.showInvitation))
	router.Post("/auth/invitations/register", s.handle(s.registerInvited))
	router.Get("/auth/oidc", s.handle(s.listProviders))
	router.Get("/auth/oidc/{provider}/start", s.handle(s.beginExternal))
	router.Get("/auth/oidc/{provider}/callback", s.handle(s.finishExternal))
}

// signInAnswer says how far a sign-in has come.
type signInAnswer struct {
	// SecondFactor is set when a code has to follow, with Challenge.
	SecondFactor bool       `json:"secondFactor"`
	Challenge    string     `json:"challenge,omitempty"`
	CSRFToken    string     `json:"csrfToken,omitempty"`
	ExpiresAt    *time.Time `json:"expiresAt,omitempty"`
}

func clientOf(r *http.Request, clients Clients) identity.Client {
	return identity.Client{Address: clients.Address(r), UserAgent: r.UserAgent()}
}

func (s *Server) clientOf(r *http.Request) identity.Client { return clientOf(r, s.Clients) }

// answerSession gives the browser its session.
func (s *Server) answerSession(w http.ResponseWriter, r *http.Request, session identity.Session) {
	noteSignIn(r, session)
	s.setCookie(w, sessionCookieName, session.Token, identity.SessionLife)
	expires := session.ExpiresAt.UTC()
	writeJSON(w, http.StatusOK, signInAnswer{CSRFToken: auth.CSRFToken(session.Token), ExpiresAt: &expires})
}

// noteSignIn tells the audit log who has signed in.
func noteSignIn(r *http.Request, session identity.Session) {
	audit.SetActor(r.Context(), audit.Actor{Kind: string(auth.BySession), ID: session.UserID.String(), Name: session.Email})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	audit.SetActor(r.Context(), audit.Actor{Kind: string(auth.BySession), Name: body.Email})
	signedIn, err := s.Identity.Login(r.Context(), body.Email, body.Password, s.clientOf(r))
	if err != nil {
		return err
	}
	if signedIn.Challenge != "" {
		writeJSON(w, http.StatusOK, signInAnswer{SecondFactor: true, Challenge: signedIn.Challenge})
		return nil
	}
	s.answerSession(w, r, signedIn.Session)
	return nil
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	err := s.Identity.Logout(r.Context(), s.credentialsOf(r).Session)
	s.setCookie(w, sessionCookieName, "", 0)
	return noContent(w, err)
}

func (s *Server) showSession(w http.ResponseWriter, r *http.Request) error {
	answer, err := s.meOf(r)
	if err != nil {
		return err
	}
	answer.CSRFToken = auth.CSRFToken(s.credentialsOf(r).Session)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) makeFirstAdmin(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token    string `json:"token"`
		Email    string `json:"email"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	wanted := identity.NewUser{Email: body.Email, Name: body.Name, Password: body.Password}
	session, err := s.Identity.MakeFirstAdmin(r.Context(), body.Token, s.FirstTeam, wanted, s.clientOf(r))
	if err != nil {
		return err
	}
	s.answerSession(w, r, session)
	return nil
}
