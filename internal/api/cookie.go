package api

import (
	"net/http"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	sessionCookieName = auth.CookiePrefix + "session"
	// hostPrefix makes browsers refuse a cookie that another host of the same
	// domain has set: each sandbox is one.
	hostPrefix = "__Host-"
)

// behindTLS says whether browsers come over TLS, here or at a proxy in front.
func (s *Server) behindTLS() bool { return strings.HasPrefix(s.PublicURL, "https://") }

func (s *Server) cookieName(name string) string {
	if s.behindTLS() {
		return hostPrefix + name
	}
	return name
}

func (s *Server) sessionCookie() string { return s.cookieName(sessionCookieName) }

// setCookie sets a cookie that scripts cannot read, for maxAge; less than a second
// deletes it.
func (s *Server) setCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	seconds := int(maxAge.Seconds())
	if seconds == 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(name), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: s.behindTLS(), SameSite: http.SameSiteLaxMode,
	})
}
