package auth

import (
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Credentials are what a request brings to prove who makes it, and for which
// team.
type Credentials struct {
	APIKey     string // header X-API-Key
	Bearer     string // header Authorization, an access token
	AdminToken string // header X-Admin-Token
	Session    string // the session's cookie
	CSRF       string // header X-CSRF-Token, which goes with a session
	// Unsafe says that the request may change something, so that a session needs
	// CSRF with it.
	Unsafe bool
	// HeaderTeam is X-Team-ID, PathTeam the team in the request's path.
	HeaderTeam string
	PathTeam   string
	// Address is where the request comes from.
	Address string
}

// choose returns the kind of the credential to check.
func (c Credentials) choose(rule Rule) (Kind, bool) {
	var first Kind
	for _, credential := range []struct {
		kind  Kind
		value string
	}{
		{ByAdminToken, c.AdminToken},
		{ByKey, c.APIKey},
		{ByAccessToken, c.Bearer},
		{BySession, c.Session},
	} {
		switch {
		case credential.value == "":
			continue
		case rule.Accepts(credential.kind):
			return credential.kind, true
		case first == "":
			first = credential.kind
		}
	}
	return first, first != ""
}

// fits says whether all that names a team names this one.
func (c Credentials) fits(team uuid.UUID) bool {
	for _, named := range []string{c.PathTeam, c.HeaderTeam} {
		if id, err := uuid.Parse(named); named != "" && (err != nil || id != team) {
			return false
		}
	}
	return true
}

// team is the team that the request names, nil where it names none.
func (c Credentials) team() (*uuid.UUID, error) {
	named, from := c.PathTeam, "the team's ID in the path"
	if named == "" {
		named, from = c.HeaderTeam, "the header X-Team-ID"
	}
	if named == "" {
		return nil, nil //nolint:nilnil // no team is an answer
	}
	id, err := uuid.Parse(named)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s must be a team's ID", from)
	}
	return &id, nil
}
