package identity

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// assertions is a provider that trusts a form, as one of SAML would after checking it.
type assertions struct{ name string }

func (a assertions) Name() string { return a.name }
func (assertions) Title() string  { return "Company" }

func (assertions) Begin(_ context.Context, attempt Attempt) (string, error) {
	return "https://idp.example.com/sso?RelayState=" + url.QueryEscape(attempt.State), nil
}

func (assertions) Finish(_ context.Context, _ Attempt, callback *http.Request) (ExternalIdentity, error) {
	return ExternalIdentity{
		Provider: "another", Subject: callback.FormValue("subject"), Email: callback.FormValue("email"), EmailVerified: true,
	}, nil
}

// posted is the request of a browser that comes back with a form.
func posted(form url.Values) *http.Request {
	request := httptest.NewRequest(http.MethodPost, "/auth/oidc/saml/callback", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

func TestAddProvider_RefusesNamesThatAreTakenOrDoNotFitIntoAddresses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	require.NoError(t, s.AddProvider(assertions{"saml"}))
	for _, name := range []string{"saml", "", "a.b", "a/b", "a b", strings.Repeat("a", 65)} {
		require.Error(t, s.AddProvider(assertions{name}), name)
	}
	require.NoError(t, s.AddProvider(assertions{"another"}))
	require.Equal(t, []Provider{assertions{"another"}, assertions{"saml"}}, s.Providers())
}

func TestFinishExternal_SignsInByAPostedForm(t *testing.T) {
	t.Parallel()
	s := newService(t)
	require.NoError(t, s.AddProvider(assertions{"saml"}))
	by := s.admin(t)
	user, err := s.User(t.Context(), by.UserID)
	require.NoError(t, err)
	redirect, attempt, err := s.BeginExternal(t.Context(), "saml")
	require.NoError(t, err)
	require.Contains(t, redirect, attempt.State)
	require.Equal(t, s.config.PublicURL+"/auth/oidc/saml/callback", attempt.CallbackURL)

	for _, state := range []string{"", "another"} {
		_, err = s.FinishExternal(t.Context(), "saml", attempt, posted(url.Values{"RelayState": {state}}), Client{})
		require.ErrorIs(t, err, ErrOtherAttempt)
	}
	_, err = s.FinishExternal(t.Context(), "saml", Attempt{}, posted(nil), Client{})
	require.ErrorIs(t, err, ErrOtherAttempt, "an attempt without a state belongs to no callback")
	form := url.Values{"RelayState": {attempt.State}, "subject": {"ada"}, "email": {strings.ToUpper(user.Email)}}
	signedIn, err := s.FinishExternal(t.Context(), "saml", attempt, posted(form), Client{})
	require.NoError(t, err)
	require.Equal(t, by.UserID, signedIn.Session.UserID)

	known := ExternalIdentity{Provider: "saml", Subject: "ada"}
	again, err := s.SignInExternal(t.Context(), known, InvitedOnly, Client{})
	require.NoError(t, err, "an identity that is tied needs no address")
	require.Equal(t, by.UserID, again.Session.UserID)
	known.Provider = "another"
	_, err = s.SignInExternal(t.Context(), known, Everyone, Client{})
	require.ErrorIs(t, err, ErrEmailNotVerified, "a provider speaks for itself only")
}

func TestSignInExternal_MakesAccountsByItsPolicy(t *testing.T) {
	t.Parallel()
	s := newService(t)
	who := ExternalIdentity{Provider: "saml", Subject: "1", Email: "grace@example.com", Name: "Grace"}
	_, err := s.SignInExternal(t.Context(), who, Everyone, Client{})
	require.ErrorIs(t, err, ErrEmailNotVerified)
	who.EmailVerified = true
	_, err = s.SignInExternal(t.Context(), who, InvitedOnly, Client{})
	require.ErrorIs(t, err, ErrNoAccount)
	signedIn, err := s.SignInExternal(t.Context(), who, Everyone, Client{})
	require.NoError(t, err)
	user, err := s.User(t.Context(), signedIn.Session.UserID)
	require.NoError(t, err)
	require.Equal(t, "Grace", user.Name)

	disabled := true
	require.NoError(t, s.ChangeUser(t.Context(), user.ID, UserChange{Disabled: &disabled}))
	_, err = s.SignInExternal(t.Context(), who, Everyone, Client{})
	require.ErrorIs(t, err, ErrNoAccount)
	for _, unknown := range []ExternalIdentity{{Provider: "saml"}, {Subject: "1"}} {
		_, err = s.SignInExternal(t.Context(), unknown, Everyone, Client{})
		require.Equal(t, fault.Internal, fault.CodeOf(err))
	}
}

func TestSignInExternal_InvitedJoinTheirTeams(t *testing.T) {
	t.Parallel()
	s := newService(t)
	by := s.admin(t)
	_, err := s.Invite(t.Context(), by, "grace@example.com", auth.Member)
	require.NoError(t, err)
	who := ExternalIdentity{Provider: "saml", Subject: "1", Email: "grace@example.com", EmailVerified: true}
	signedIn, err := s.SignInExternal(t.Context(), who, InvitedOnly, Client{})
	require.NoError(t, err)
	teams, err := s.Teams(t.Context(), signedIn.Session.UserID)
	require.NoError(t, err)
	require.Len(t, teams, 1)
	require.Equal(t, by.TeamID, teams[0].Team.ID)
}
