package templates

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/inflight"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
)

// uploadPrefix begins the path of uploads; the hash follows.
const uploadPrefix = "/build-files/"

// maxUploadsAtOnce is how many uploads of a team one control plane receives at a time.
const maxUploadsAtOnce = 32

// getUpload answers whether files are there, and where to upload them.
func (h *Handlers) getUpload(w http.ResponseWriter, r *http.Request) error {
	present, upload, err := h.Builds.Files(r.Context(), request.Team(r), templateParam(r, "templateID"), chi.URLParam(r, "hash"))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, struct {
		Present bool   `json:"present"`
		URL     string `json:"url"`
	}{present, h.origin(r) + uploadPath(upload)})
	return nil
}

func uploadPath(upload builds.Upload) string {
	query := url.Values{
		"team": {upload.TeamID.String()}, "host": {upload.HostID.String()},
		"expires": {strconv.FormatInt(upload.Expires, 10)}, "signature": {upload.Signature},
	}
	return uploadPrefix + upload.Hash + "?" + query.Encode()
}

// origin is how the client has reached this server, where it also reaches the uploads.
func (h *Handlers) origin(r *http.Request) string {
	if public, err := url.Parse(h.PublicURL); err == nil && public.Host == r.Host {
		return public.Scheme + "://" + public.Host
	}
	scheme := "http"
	if forwarded := r.Header.Get("X-Forwarded-Proto"); forwarded == "https" && h.BehindProxy != nil && h.BehindProxy(r) {
		scheme = forwarded
	}
	return scheme + "://" + r.Host
}

// Receiver receives uploads of builds.
type Receiver interface {
	Receive(ctx context.Context, upload builds.Upload, size int64, content io.Reader) error
}

// Uploads handles uploads of builds' files. They are not part of the control API: the
// credential is the signature in the URL, and bodies may be large.
type Uploads struct {
	Builds Receiver
	Log    *slog.Logger

	atOnce inflight.Counter[uuid.UUID] // by team
}

var uploadPattern = regexp.MustCompile(`^` + uploadPrefix + `([^/]+)$`)

// Before returns a handler that handles uploads and passes other requests to next.
func (u *Uploads) Before(next http.Handler) http.Handler {
	uploads := request.Identify(http.HandlerFunc(u.serve))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uploadPattern.MatchString(r.URL.Path) {
			uploads.ServeHTTP(w, r)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

func (u *Uploads) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPut {
		w.Header().Set("Allow", http.MethodPut)
		respond.Refuse(w, http.StatusMethodNotAllowed, r.Method+" is not possible here", "", 0)
		return
	}
	if err := u.receive(r); err != nil {
		httpserver.Abandon(r.Context())
		respond.Failures{Log: u.Log}.Answer(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (u *Uploads) receive(r *http.Request) error {
	query := r.URL.Query()
	upload := builds.Upload{Hash: uploadPattern.FindStringSubmatch(r.URL.Path)[1], Signature: query.Get("signature")}
	var err error
	if upload.TeamID, err = uuid.Parse(query.Get("team")); err != nil {
		return errNoUpload
	}
	if upload.HostID, err = uuid.Parse(query.Get("host")); err != nil {
		return errNoUpload
	}
	if upload.Expires, err = strconv.ParseInt(query.Get("expires"), 10, 64); err != nil {
		return errNoUpload
	}
	if !u.atOnce.Take(upload.TeamID, maxUploadsAtOnce) {
		return fault.New(fault.RateLimited, "the team has %d uploads under way here already", maxUploadsAtOnce)
	}
	defer u.atOnce.GiveBack(upload.TeamID)
	return u.Builds.Receive(r.Context(), upload, r.ContentLength, r.Body)
}

var errNoUpload = fault.New(fault.Invalid, "the URL is not one of an upload: ask for it with GET /templates/{templateID}/files/{hash}")
