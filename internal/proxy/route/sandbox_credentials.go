package route

import (
	"net/http"
	"net/url"
	"strings"
)

// stripCredentials removes a sandbox's credentials from a request, because a guest can
// keep them in a snapshot that others start from. Their own headers and parameters are
// removed by name, all others that contain one by value.
func stripCredentials(r *http.Request, port uint16, found located, tokens Tokens) {
	id, epochs := found.ID, found.epochs
	secrets := []string{tokens.EnvdAccess(id, epochs), tokens.TrafficAccess(id, epochs)}
	r.Header.Del(trafficTokenHeader)
	if port == agentPort {
		r.Header.Del(AgentTokenHeader)
		// A page that was opened by a signed URL sends that URL as Referer.
		r.Header.Del("Referer")
	}
	if from, err := url.Parse(r.Header.Get("Referer")); err == nil && isValidlySigned(from.Query(), secrets[0]) {
		r.Header.Del("Referer")
	}
	stripHeaders(r.Header, secrets)
	signed := port == agentPort || isValidlySigned(r.URL.Query(), secrets[0])
	r.URL.RawQuery = stripQuery(r.URL.RawQuery, func(name, value string) bool {
		if name == signatureParameter || name == expirationParameter {
			return signed
		}
		return containsAny(name, secrets) || containsAny(value, secrets)
	})
}

// isValidlySigned reports whether a query has a signature of the sandbox, expired or
// not.
func isValidlySigned(query url.Values, token string) bool {
	return signatureFits(query, token, operationRead) || signatureFits(query, token, operationWrite)
}

// stripHeaders removes secrets from the values of all headers, and removes headers that
// contain nothing else.
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

// stripQuery removes parameters and keeps the others byte for byte.
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

// unescaped decodes a part of a query, or returns it as it is if it is malformed, as
// lenient servers do.
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
