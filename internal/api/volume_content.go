package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// VolumeOpener finds the way to a volume's content for whoever has its token.
type VolumeOpener interface {
	Open(ctx context.Context, volumeID, token string) (*host.Link, error)
}

// VolumeContent answers requests about what is in volumes. They stand apart from
// the control API, as traffic to sandboxes does: the token of a volume opens that
// volume and nothing else, bodies have no bound, and the host answers.
type VolumeContent struct {
	Volumes VolumeOpener
	Log     *slog.Logger
}

var volumeContentPath = regexp.MustCompile(`^/volumecontent/([^/]+)/(path|dir|file)$`)

// Before returns a handler that answers requests about the content of volumes and
// hands all others to next.
func (v *VolumeContent) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		match := volumeContentPath.FindStringSubmatch(r.URL.Path)
		if match == nil {
			next.ServeHTTP(w, r)
			return
		}
		v.serve(w, r, match[1], match[2])
	})
}

func (v *VolumeContent) serve(w http.ResponseWriter, r *http.Request, volumeID, what string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	// The answer can be a page that somebody has put there.
	w.Header().Set("Content-Security-Policy", "sandbox")
	if r.Header.Get("Origin") != "" && shareWithOrigin(w, r) {
		return
	}
	token := ""
	if scheme, given, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		token = given
	}
	link, err := v.Volumes.Open(r.Context(), volumeID, token)
	if err != nil {
		v.fail(w, r, err)
		return
	}
	// Without this the server swallows what is left of an upload when the answer
	// begins.
	_ = http.NewResponseController(w).EnableFullDuplex()
	link.VolumeContent(volumeID, what, v.fail).ServeHTTP(w, r)
}

func messageOf(err error) string {
	var shown *fault.Error
	if errors.As(err, &shown) {
		return shown.Message
	}
	return "internal error"
}

func (v *VolumeContent) fail(w http.ResponseWriter, r *http.Request, err error) {
	httpserver.Abandon(r.Context())
	if httpserver.TooSlow(r.Context()) {
		v.write(w, http.StatusRequestTimeout, fault.Timeout, tooSlow)
		return
	}
	if r.Context().Err() != nil {
		return // the client left; nobody reads an answer
	}
	code, message := fault.CodeOf(err), messageOf(err)
	if db.IsUnavailable(err) {
		code, message = fault.Unavailable, "the database cannot be reached at the moment"
	}
	status := statuses[code]
	if status >= http.StatusInternalServerError {
		v.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	v.write(w, status, code, message)
}

func (*VolumeContent) write(w http.ResponseWriter, status int, code fault.Code, message string) {
	writeJSON(w, status, struct {
		Code    fault.Code `json:"code"`
		Message string     `json:"message"`
	}{code, message})
}
