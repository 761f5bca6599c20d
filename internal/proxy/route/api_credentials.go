package route

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// internalPrefix begins the names of headers between control plane and host agent.
const internalPrefix = "Wrenn-"

// cookiePattern matches the names of the control API's cookies. Browsers accept
// prefixes such as __Host- in any case.
var cookiePattern = regexp.MustCompile(`(?i)^(__[a-z-]+-)?` + regexp.QuoteMeta(auth.CookiePrefix))

// minSecretLength is how long a credential's value must be for other headers that
// contain it to be removed: a shorter one could be an ordinary word.
const minSecretLength = 16

// apiCredentials are the control API's credentials of one request.
type apiCredentials struct {
	adminToken string
	seen       []string // values of the headers and cookies that were removed by name
}

// removeAPICredentials removes the control API's credentials from a request: headers
// and cookies by their names, values by the form of a key, and every header and query
// parameter that contains one of the values removed by name.
func removeAPICredentials(r *http.Request, adminToken string) {
	c, header := apiCredentials{adminToken: adminToken}, r.Header
	for name := range header {
		if strings.HasPrefix(hyphenated(name), internalPrefix) {
			delete(header, name)
		}
	}
	delete(header, auth.TeamHeader)
	for _, name := range auth.CredentialHeaders {
		for _, value := range header[name] {
			c.see(value)
		}
		delete(header, name)
	}
	c.removeCookies(header)
	for name, values := range header {
		if kept := c.withoutSecrets(values); len(kept) == 0 {
			delete(header, name)
		} else {
			header[name] = kept
		}
	}
	r.URL.RawQuery = stripQuery(r.URL.RawQuery, func(name, value string) bool { return c.isSecret(name) || c.isSecret(value) })
}

func (c *apiCredentials) see(secret string) {
	if secret = strings.TrimSpace(secret); len(secret) >= minSecretLength {
		c.seen = append(c.seen, secret)
	}
}

func (c *apiCredentials) removeCookies(header http.Header) {
	var lines []string
	for _, line := range header["Cookie"] {
		var kept []string
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			name, value, _ := strings.Cut(pair, "=")
			switch {
			case cookiePattern.MatchString(pairName(pair)):
				c.see(strings.Trim(value, `"`))
			case pair != "" && !c.isSecret(value) && !c.isSecret(name):
				kept = append(kept, pair)
			}
		}
		if len(kept) > 0 {
			lines = append(lines, strings.Join(kept, "; "))
		}
	}
	delete(header, "Cookie")
	if len(lines) > 0 {
		header["Cookie"] = lines
	}
}

// pairName is a cookie's name as a browser sends it back. For a cookie without a
// name that is the beginning of its value.
func pairName(pair string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(pair, "= \t"), "=")
	return strings.TrimSpace(name)
}

func (c *apiCredentials) withoutSecrets(values []string) []string {
	var kept []string
	for _, value := range values {
		if !c.isSecret(value) && !c.isSecret(basicOf(value)) {
			kept = append(kept, value)
		}
	}
	return kept
}

// isSecret reports whether a value contains a credential of the control API.
func (c *apiCredentials) isSecret(value string) bool {
	if auth.ContainsKey(value) {
		return true
	}
	for _, secret := range c.seen {
		if strings.Contains(value, secret) {
			return true
		}
	}
	return c.adminToken != "" && c.holdsAdminToken(value)
}

func (c *apiCredentials) holdsAdminToken(value string) bool {
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(` ,;:="`, r) }) {
		if auth.Equal(word, c.adminToken) {
			return true
		}
	}
	return auth.Equal(value, c.adminToken)
}

// basicOf decodes the user and password of an Authorization header of scheme Basic.
// It returns "" for other headers.
func basicOf(value string) string {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	return string(decoded)
}
