package files

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/services/filesystem"
)

// Upload writes files: one as the body itself, or any number as parts of a
// form. Each appears whole or not at all.
func (h *Handler) Upload(w http.ResponseWriter, r *http.Request) {
	entries, err := h.upload(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, entries)
}

func (h *Handler) upload(r *http.Request) ([]Entry, error) {
	user, err := h.caller(r.URL.Query().Get("username"))
	if err != nil {
		return nil, err
	}
	metadata, err := metadataOf(r.Header)
	if err != nil {
		return nil, err
	}
	body := io.Reader(r.Body)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		decompressor, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, badRequest("the body is not gzip: %v", err)
		}
		body = decompressor
	default:
		return nil, badRequest("content encoding %q is not supported", encoding)
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, badRequest("content type: %v", err)
	}
	path := r.URL.Query().Get("path")
	switch kind {
	case "application/octet-stream":
		if path == "" {
			return nil, badRequest("path is missing")
		}
		entry, err := h.store(user, path, body, metadata)
		return []Entry{entry}, err
	case "multipart/form-data":
		return h.uploadForm(user, path, multipart.NewReader(body, parameters["boundary"]), metadata)
	default:
		return nil, badRequest("content type %q is not supported: send multipart/form-data or application/octet-stream", kind)
	}
}

// uploadForm stores every part named "file", under path or, when that is
// empty, under the name the part brings.
func (h *Handler) uploadForm(user *permissions.User, path string, form *multipart.Reader, metadata map[string]string) ([]Entry, error) {
	entries := []Entry{}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, badRequest("malformed form: %v", err)
		}
		if part.FormName() != "file" {
			continue
		}
		target := path
		if target == "" {
			target = partPath(part)
		}
		if target == "" {
			return nil, badRequest("neither the request nor the part names a path")
		}
		if path != "" && len(entries) > 0 {
			return nil, badRequest("the form holds several files for one path")
		}
		entry, err := h.store(user, target, part, metadata)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return nil, badRequest("the form holds no part named file")
	}
	return entries, nil
}

// partPath is the whole file name of a part; the library keeps only its last
// element, because elsewhere the rest is not to be trusted.
func partPath(part *multipart.Part) string {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return parameters["filename"]
}

// store writes content to a path as the user.
func (h *Handler) store(user *permissions.User, path string, content io.Reader, metadata map[string]string) (Entry, error) {
	target, err := h.resolve(path, user)
	if err != nil {
		return Entry{}, err
	}
	err = user.Do(func() error { return replace(target, content, metadata) })
	if err != nil {
		return Entry{}, err
	}
	return Entry{Path: target, Name: filepath.Base(target), Type: "file", Metadata: metadata}, nil
}

// newFileMode is what a file gets that was not there before.
const newFileMode = 0o644

// replace writes a file beside its place and moves it there when it is whole.
// A file that was there keeps its mode; a link to it stays a link.
func replace(target string, content io.Reader, metadata map[string]string) (err error) {
	if followed, err := filepath.EvalSymlinks(target); err == nil {
		target = followed
	}
	mode := os.FileMode(newFileMode)
	if info, err := os.Stat(target); err == nil {
		if info.IsDir() {
			return fmt.Errorf("%s: %w", target, errIsDirectory)
		}
		if mode = info.Mode().Perm(); !info.Mode().IsRegular() {
			return badRequest("%s is not a regular file", target)
		}
		// The directory alone would allow what the file itself does not.
		probe, err := os.OpenFile(target, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		probe.Close()
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(target), filesystem.UploadPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := fill(file, content, mode, metadata); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), target); err != nil {
		return err
	}
	announceWrite(target)
	return nil
}

// announceWrite makes a file that was moved into place look written to those
// who watch: setting its size, to what it is, counts as a write.
func announceWrite(path string) {
	if info, err := os.Stat(path); err == nil {
		_ = os.Truncate(path, info.Size()) // a file nobody may write is not announced
	}
}

func fill(file *os.File, content io.Reader, mode os.FileMode, metadata map[string]string) error {
	if _, err := io.Copy(file, readErrors{content}); err != nil {
		return err
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if len(metadata) == 0 {
		return nil // a new file has none
	}
	return filesystem.SetMetadata(file.Name(), metadata)
}

// readErrors marks a body that broke off as the client's mistake.
type readErrors struct{ io.Reader }

func (r readErrors) Read(buffer []byte) (int, error) {
	n, err := r.Reader.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badRequest("the upload broke off: %v", err)
	}
	return n, err
}

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
	entry, err := h.compose(request)
	if err != nil {
		h.fail(w, err)
		return
	}
	writeJSON(w, entry)
}

func (h *Handler) compose(request composeRequest) (Entry, error) {
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
	sources := &sequence{user: user}
	defer sources.close()
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
		sources.paths = append(sources.paths, path)
	}
	return h.store(user, request.Destination, sources, nil)
}

// sequence reads files one after the other, one open at a time.
type sequence struct {
	user    *permissions.User
	paths   []string
	current *os.File
}

func (s *sequence) Read(buffer []byte) (int, error) {
	for {
		if s.current == nil {
			if len(s.paths) == 0 {
				return 0, io.EOF
			}
			file, _, err := open(s.user, s.paths[0])
			if err != nil {
				return 0, err
			}
			s.current, s.paths = file, s.paths[1:]
		}
		n, err := s.current.Read(buffer)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		s.close()
	}
}

func (s *sequence) close() {
	if s.current != nil {
		s.current.Close()
		s.current = nil
	}
}
