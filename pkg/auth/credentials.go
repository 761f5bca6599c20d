package auth

import (
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Credentials are the credentials of a request and the team that it names.
type Credentials struct {
	APIKey     string // header X-API-Key
	Bearer     string // header Authorization, an access token
	AdminToken string // header X-Admin-Token
	Session    string // the session's cookie
	CSRF       string // header X-CSRF-Token
	// Unsafe says that the request may change something: with a session it needs CSRF.
	Unsafe bool
	// HeaderTeam is the header X-Team-ID, PathTeam the team in the path.
	HeaderTeam string
	PathTeam   string
	// Address is the client's.
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

// fits says whether path and header name no other team than this.
func (c Credentials) fits(team uuid.UUID) bool {
	for _, named := range []string{c.PathTeam, c.HeaderTeam} {
		if id, err := uuid.Parse(named); named != "" && (err != nil || id != team) {
			return false
		}
	}
	return true
}

// team is the named team, nil where none is named.
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
