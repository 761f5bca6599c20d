package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// stripCredentials takes a sandbox's credentials out of a request that may pass:
// what a guest sees can end up in a snapshot that others read. They are taken out
// by name where they belong, and by value wherever else a client put them.
func stripCredentials(r *http.Request, port uint16, found rows.GetSandboxWithEpochRow, tokens Tokens) {
	id, epochs := found.Sandbox.ID, epochsOf(found)
	secrets := []string{tokens.EnvdAccess(id, epochs), tokens.TrafficAccess(id, epochs)}
	r.Header.Del(trafficTokenHeader)
	if port == AgentPort {
		r.Header.Del(envdTokenHeader)
		// A page that was opened by a signed URL names that URL in its requests.
		r.Header.Del("Referer")
	}
	if from, err := url.Parse(r.Header.Get("Referer")); err == nil && isValidlySigned(from.Query(), secrets[0]) {
		r.Header.Del("Referer")
	}
	stripHeaders(r.Header, secrets)
	signed := port == AgentPort || isValidlySigned(r.URL.Query(), secrets[0])
	r.URL.RawQuery = stripQuery(r.URL.RawQuery, func(name, value string) bool {
		if name == signatureParameter || name == expirationParameter {
			return signed
		}
		return containsAny(name, secrets) || containsAny(value, secrets)
	})
}

// isValidlySigned looks for a signature of the sandbox in a request to a port
// that has no use for it. An expired one is worth nothing.
func isValidlySigned(query url.Values, token string) bool {
	return signatureFits(query, token, operationRead) || signatureFits(query, token, operationWrite)
}

// stripHeaders takes secrets out of the values of all headers, and with them
// headers that hold nothing else.
func stripHeaders(header http.Header, secrets []string) {
	for name, values := range header {
		var kept []string
		for _, value := range values {
			if containsAny(basicOf(value), secrets) {
				continue
			}
			stripped := value
			for _, secret := range secrets {
				stripped = strings.ReplaceAll(stripped, secret, "")
			}
			if stripped == value || strings.TrimSpace(stripped) != "" {
				kept = append(kept, stripped)
			}
		}
		if len(kept) == 0 {
			header.Del(name)
			continue
		}
		header[name] = kept
	}
}

// stripQuery drops parameters and leaves the others as they were written.
func stripQuery(raw string, drop func(name, value string) bool) string {
	pairs := strings.Split(raw, "&")
	kept := make([]string, 0, len(pairs))
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if !drop(unescaped(name), unescaped(value)) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// unescaped is a part of a query as a lax server reads it.
func unescaped(part string) string {
	if plain, err := url.QueryUnescape(part); err == nil {
		return plain
	}
	return part
}

func containsAny(text string, secrets []string) bool {
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}
