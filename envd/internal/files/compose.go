package files

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// composeRequest is the body of POST /files/compose.
type composeRequest struct {
	SourcePaths []string `json:"source_paths"`
	Destination string   `json:"destination"`
	Username    string   `json:"username"`
}

const (
	maxComposeBytes   = 1 << 20
	maxComposeSources = 10_000
)

// Compose concatenates files into one and then removes them.
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
	utils.WriteJSON(w, entry)
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
		file, _, err := open(path) // checks all before anything is written
		if err != nil {
			return Entry{}, err
		}
		file.Close()
		sources = append(sources, path)
	}
	entry, err := h.store(user, request.Destination, nil, func(file *os.File) error {
		for _, source := range sources {
			if err := appendFile(ctx, file, source); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		h.removeSources(sources, entry.Path)
	}
	return entry, err
}

// removeSources removes the sources, except one that is the result by another name. It
// logs failures only: the result is complete.
func (h *Handler) removeSources(sources []string, result string) {
	composed, err := os.Stat(result)
	if err != nil {
		h.log.Warn("look at what was composed", "error", err)
		return
	}
	for _, source := range sources {
		info, err := os.Stat(source)
		if err == nil && !os.SameFile(info, composed) {
			err = os.Remove(source)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.log.Warn("remove what was composed", "error", err)
		}
	}
}

func appendFile(ctx context.Context, to *os.File, path string) error {
	file, _, err := open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	defer endReads(ctx, file)()
	_, err = io.Copy(to, file)
	return err
}
