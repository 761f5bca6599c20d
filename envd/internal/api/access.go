package api

import (
	"errors"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/files"
)

// authenticate lets pass who shows the access token, once there is one.
// Without it there are /health, files by signed URL, and /init, which looks
// at its body itself.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.authorise(r); err != nil {
			writeError(w, http.StatusUnauthorized, err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) authorise(r *http.Request) error {
	token := s.settings.Token()
	if token == "" || r.URL.Path == "/health" || r.Method == http.MethodOptions {
		return nil
	}
	if shown := r.Header.Get("X-Access-Token"); shown != "" {
		if s.settings.TokenIs(shown) {
			return nil
		}
		return errWrongToken
	}
	switch {
	case r.URL.Path == "/init":
		return nil
	case r.URL.Path == "/files" && r.URL.Query().Has("signature"):
		operation := "read"
		if r.Method == http.MethodPost {
			operation = "write"
		}
		return files.VerifySignature(r, token, operation, time.Now())
	default:
		return errors.New("an access token is needed in header X-Access-Token")
	}
}

// allowBrowsers answers what a browser asks before it lets a page's script
// call us. The token is the protection; where a page comes from is not.
func allowBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Access-Control-Expose-Headers", "*")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			allowed := r.Header.Get("Access-Control-Request-Headers")
			if allowed == "" {
				allowed = "*"
			}
			header.Set("Access-Control-Allow-Headers", allowed)
			header.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
