package resources

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// VolumeOpener checks a volume's token and returns the link to its host.
type VolumeOpener interface {
	Open(ctx context.Context, volumeID, token string) (*host.Link, error)
}

// VolumeContent handles requests for the content of volumes. They are not part of the
// control API: the credential is the token of the volume, bodies are unbounded, and the
// host of the volume answers.
type VolumeContent struct {
	Volumes VolumeOpener
	Log     *slog.Logger
}

var volumeContentPath = regexp.MustCompile(`^/volumecontent/([^/]+)/(path|dir|file)$`)

// Before returns a handler that handles requests for the content of volumes and passes
// others to next.
func (v *VolumeContent) Before(next http.Handler) http.Handler {
	content := request.Identify(http.HandlerFunc(v.serve))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if volumeContentPath.MatchString(r.URL.Path) {
			content.ServeHTTP(w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

func (v *VolumeContent) serve(w http.ResponseWriter, r *http.Request) {
	match := volumeContentPath.FindStringSubmatch(r.URL.Path)
	volumeID, what := match[1], match[2]
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	// The answer can be an HTML file of the volume, which must not act for this origin.
	w.Header().Set("Content-Security-Policy", "sandbox")
	if r.Header.Get("Origin") != "" && access.ShareWithOrigin(w, r) {
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
	// Without this the server discards the rest of an upload when the answer begins.
	_ = http.NewResponseController(w).EnableFullDuplex()
	link.VolumeContent(volumeID, what, v.fail).ServeHTTP(w, r)
}

func (v *VolumeContent) fail(w http.ResponseWriter, r *http.Request, err error) {
	httpserver.Abandon(r.Context())
	if httpserver.TooSlow(r.Context()) {
		v.write(w, http.StatusRequestTimeout, fault.Timeout, respond.TooSlow)
		return
	}
	if r.Context().Err() != nil {
		return // the client has disconnected
	}
	code, message := respond.CodeAndMessage(r.Context(), err)
	status := respond.Statuses[code]
	if status >= http.StatusInternalServerError {
		v.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	v.write(w, status, code, message)
}

func (*VolumeContent) write(w http.ResponseWriter, status int, code fault.Code, message string) {
	respond.JSON(w, status, struct {
		Code    fault.Code `json:"code"`
		Message string     `json:"message"`
	}{code, message})
}
