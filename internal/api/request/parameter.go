package request

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// MaxPageSize is the largest page, and the size of a page where none is asked for.
const MaxPageSize = 100

// maxUnixSeconds is the year 9999, within what PostgreSQL can store.
const maxUnixSeconds = 253_402_300_799

// Team returns the team of the request's principal.
func Team(r *http.Request) uuid.UUID { return auth.PrincipalOf(r.Context()).TeamID }

// OwnTeam returns the team in the path, which must be that of the principal.
func OwnTeam(r *http.Request) (uuid.UUID, error) {
	named, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "teamID is not a UUID")
	}
	if named != Team(r) {
		return uuid.Nil, fault.New(fault.Forbidden, "the credential is not for this team")
	}
	return named, nil
}

// TeamAsked returns the team in the query of a platform admin's request, zero for none.
func TeamAsked(r *http.Request) (uuid.UUID, error) {
	text := r.URL.Query().Get("teamID")
	if text == "" {
		return uuid.Nil, nil
	}
	team, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "teamID must be a team's ID")
	}
	return team, nil
}

// TeamWithoutBody returns the team in the path of a request that must have no body.
func TeamWithoutBody(r *http.Request) (uuid.UUID, error) {
	if err := Decode(r, &struct{}{}); err != nil {
		return uuid.Nil, err
	}
	teamID, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "teamID is not a UUID")
	}
	return teamID, nil
}

// ID returns a UUID in the path. what names the resource in the error.
func ID(r *http.Request, parameter, what string) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, parameter))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "the ID of the %s is not a UUID", what)
	}
	return id, nil
}

// PageSize reads the size of a page.
func PageSize(text string) (int, error) { return Limit("limit", text, MaxPageSize) }

// Limit reads a size from 1 to MaxPageSize.
func Limit(name, text string, byDefault int) (int, error) {
	if text == "" {
		return byDefault, nil
	}
	size, err := strconv.Atoi(text)
	if err != nil || size < 1 || size > MaxPageSize {
		return 0, fault.New(fault.Invalid, "%s must be a number from 1 to %d", name, MaxPageSize)
	}
	return size, nil
}

// Moment reads a time in RFC 3339 from the query.
func Moment(r *http.Request, name string, byDefault time.Time) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return byDefault, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fault.New(fault.Invalid, "%s must be a time such as 2006-01-02T15:04:05Z", name)
	}
	return at, nil
}

// Milliseconds reads a time in milliseconds since 1970; zero if there is none.
func Milliseconds(query url.Values, name string) (time.Time, error) {
	const perSecond = 1000
	return UnixTime(query, name, perSecond)
}

// UnixTime reads a time since 1970, counted in parts of a second of which there are
// perSecond; zero if there is none.
func UnixTime(query url.Values, name string, perSecond int64) (time.Time, error) {
	text := query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number/perSecond > maxUnixSeconds {
		return time.Time{}, fault.New(fault.Invalid, "%s must be a time since 1970 in whole numbers", name)
	}
	return time.Unix(number/perSecond, number%perSecond*int64(time.Second)/perSecond), nil
}

// OrDefault returns the value, or byDefault if it is nil.
func OrDefault[T any](value *T, byDefault T) T {
	if value == nil {
		return byDefault
	}
	return *value
}
