package access

import (
	"net/http"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	SessionCookie = auth.CookiePrefix + "session"
	// hostPrefix makes browsers refuse a cookie that another host of the same
	// domain has set: each sandbox is one.
	hostPrefix = "__Host-"
)

// behindTLS says whether browsers come over TLS, here or at a proxy in front.
func (c *Control) behindTLS() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// CookieName is the full name of a cookie.
func (c *Control) CookieName(name string) string {
	if c.behindTLS() {
		return hostPrefix + name
	}
	return name
}

// SetCookie sets a cookie that scripts cannot read, for maxAge; less than a second
// deletes it. Browsers send it with navigations from other sites, but not with forms.
func (c *Control) SetCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	c.setCookie(w, name, value, maxAge, http.SameSiteLaxMode)
}

// SetCookieForForms is SetCookie for a cookie that must come with the form that an
// identity provider sends the browser back with. Browsers take it only over TLS;
// without, it is as SetCookie sets it.
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
