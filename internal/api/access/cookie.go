package access

import (
	"net/http"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	// SessionCookie is the cookie with the token of a browser's session.
	SessionCookie = auth.CookiePrefix + "session"
	// hostPrefix makes browsers refuse a cookie of this name from another host of the
	// domain. Each sandbox is such a host. Source: RFC 6265bis, section 4.1.3.2.
	hostPrefix = "__Host-"
)

// behindTLS reports whether browsers use TLS, to this server or to a proxy before it.
func (c *Control) behindTLS() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// CookieName returns the full name of a cookie.
func (c *Control) CookieName(name string) string {
	if c.behindTLS() {
		return hostPrefix + name
	}
	return name
}

// SetCookie sets a cookie that scripts cannot read; a maxAge of less than a second
// deletes it. Browsers send it with links from other sites, but not with forms.
func (c *Control) SetCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	c.setCookie(w, name, value, maxAge, http.SameSiteLaxMode)
}

// SetCookieForForms is SetCookie for a cookie that browsers also send with forms of
// other sites, such as identity providers. Browsers accept that only over TLS; without
// TLS it is the same as SetCookie.
func (c *Control) SetCookieForForms(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	mode := http.SameSiteLaxMode
	if c.behindTLS() {
		mode = http.SameSiteNoneMode
	}
	c.setCookie(w, name, value, maxAge, mode)
}

func (c *Control) setCookie(w http.ResponseWriter, name, value string, maxAge time.Duration, mode http.SameSite) {
	seconds := int(maxAge.Seconds())
	if seconds == 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: c.CookieName(name), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: c.behindTLS(), SameSite: mode,
	})
}
