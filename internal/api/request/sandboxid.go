package request

import (
	"net/http"
	"regexp"

	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// sandboxPath matches paths with the ID of a sandbox.
var sandboxPath = regexp.MustCompile(`^((?:/v2)?/sandboxes/)([^/]+)((?:/.*)?)$`)

// ReadSandboxIDs is a middleware that replaces a sandbox's ID in the path by its
// canonical form. Older clients add a suffix to IDs.
func ReadSandboxIDs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := pathWithPlainID(r.URL.Path); path != r.URL.Path {
			address := *r.URL
			address.Path, address.RawPath = path, pathWithPlainID(r.URL.RawPath)
			r = r.WithContext(r.Context())
			r.URL = &address
		}
		next.ServeHTTP(w, r)
	})
}

func pathWithPlainID(path string) string {
	parts := sandboxPath.FindStringSubmatch(path)
	if parts == nil {
		return path
	}
	return parts[1] + SandboxID(parts[2]) + parts[3]
}

// SandboxID returns the canonical form of a sandbox's ID, or the text if it is none.
func SandboxID(text string) string {
	if plain, ok := id.ReadSandbox(text); ok {
		return plain
	}
	return text
}
