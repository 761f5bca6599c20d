package files

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
)

// composeRequest asks for one file made of others.
type composeRequest struct {
	SourcePaths []string `json:"source_paths"`
	Destination string   `json:"destination"`
	Username    string   `json:"username"`
}

const (
	maxComposeBytes   = 1 << 20
	maxComposeSources = 10_000
)

// Compose joins files, in order, into one. The sources stay.
func (h *Handler) Compose(w http.ResponseWriter, r *http.Request) {
	var request composeRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxComposeBytes)).Decode(&request); err != nil {
		h.fail(w, badRequest("malformed body: %v", err))
		return
	}
	entry, err := h.compose(r.Context(), request)
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, entry)
}

func (h *Handler) compose(ctx context.Context, request composeRequest) (Entry, error) {
	if len(request.SourcePaths) == 0 || len(request.SourcePaths) > maxComposeSources {
		return Entry{}, badRequest("source_paths holds %d paths; from 1 to %d are allowed", len(request.SourcePaths), maxComposeSources)
	}
	if request.Destination == "" {
		return Entry{}, badRequest("destination is missing")
	}
	user, err := h.caller(request.Username)
	if err != nil {
		return Entry{}, err
	}
	sources := make([]string, 0, len(request.SourcePaths))
	for _, source := range request.SourcePaths {
		path, err := h.resolve(source, user)
		if err != nil {
			return Entry{}, err
		}
		file, _, err := open(user, path) // all are opened before anything is written
		if err != nil {
			return Entry{}, err
		}
		file.Close()
		sources = append(sources, path)
	}
	return h.store(user, request.Destination, nil, func(file *os.File) error {
		for _, source := range sources {
			if err := appendFile(ctx, file, user, source); err != nil {
				return err
			}
		}
		return nil
	})
}

func appendFile(ctx context.Context, to *os.File, user *permissions.User, path string) error {
	file, _, err := open(user, path)
	if err != nil {
		return err
	}
	defer file.Close()
	defer endReads(ctx, file)()
	_, err = io.Copy(to, file)
	return err
}
