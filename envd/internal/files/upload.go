package files

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// Upload writes files: one from the body, or any number from the parts of a form. A file
// is created or overwritten only after its content has arrived completely.
func (h *Handler) Upload(w http.ResponseWriter, r *http.Request) {
	r.Body = &impatient{ReadCloser: r.Body, connection: http.NewResponseController(w), idle: h.idle}
	entries, err := h.upload(r)
	if err != nil {
		// A client or proxy that still sends would see a broken connection instead of
		// the answer.
		_, _ = io.CopyN(io.Discard, r.Body, maxIgnoredBytes)
		h.fail(w, err)
		return
	}
	utils.WriteJSON(w, entries)
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
	switch encoding := r.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
	case "gzip", "x-gzip":
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
		entry, err := h.store(user, path, metadata, from(body))
		return []Entry{entry}, err
	case "multipart/form-data":
		return h.uploadForm(user, path, multipart.NewReader(body, parameters["boundary"]), metadata)
	default:
		return nil, badRequest("content type %q is not supported: send multipart/form-data or application/octet-stream", kind)
	}
}

// uploadIdle is how long an upload may send nothing. Otherwise a client that disappeared
// without closing its connection would keep the disk space of its draft.
const uploadIdle = 2 * time.Minute

// impatient is a body whose reads fail when nothing arrives for the time idle.
type impatient struct {
	io.ReadCloser
	connection *http.ResponseController
	idle       time.Duration
}

func (i *impatient) Read(buffer []byte) (int, error) {
	// Fails only for the recorders of tests.
	_ = i.connection.SetReadDeadline(time.Now().Add(i.idle))
	n, err := i.ReadCloser.Read(buffer)
	if errors.Is(err, io.EOF) {
		_ = i.connection.SetReadDeadline(time.Time{}) // for the next request on the connection
	}
	return n, err
}

// maxIgnoredBytes is how much of a failed upload is read and dropped.
const maxIgnoredBytes = 256 << 20

// maxFormFiles bounds the answer, which lists every file.
const maxFormFiles = 10_000

// uploadForm stores every part named "file" at path or, if path is empty, at the part's
// file name.
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
		if len(entries) == maxFormFiles {
			return nil, badRequest("the form holds more than %d files", maxFormFiles)
		}
		entry, err := h.store(user, target, metadata, from(part))
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

// partPath is the file name of a part with its directories, which the library removes.
func partPath(part *multipart.Part) string {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return parameters["filename"]
}

// store writes a file with the content that fill writes. A new file belongs to the user.
func (h *Handler) store(user *permissions.User, path string, metadata map[string]string, fill func(*os.File) error) (Entry, error) {
	target, err := h.resolve(path, user)
	if err != nil {
		return Entry{}, err
	}
	unfinished, err := newDraft(user, target, &h.locks)
	if err != nil {
		return Entry{}, err
	}
	if err := fill(unfinished.file); err != nil {
		return Entry{}, errors.Join(err, unfinished.discard())
	}
	if err := unfinished.place(metadata); err != nil {
		return Entry{}, err
	}
	return Entry{Path: target, Name: filepath.Base(target), Type: "file", Metadata: metadata}, nil
}

// uploadBytes is the size of a buffer: large, so that an upload takes few system calls.
const uploadBytes = 256 << 10

// uploadBuffers are reused: a form can hold many small files.
var uploadBuffers = sync.Pool{New: func() any { return new([uploadBytes]byte) }}

// from fills a file with what a client sends.
func from(body io.Reader) func(*os.File) error {
	return func(file *os.File) error {
		buffer, _ := uploadBuffers.Get().(*[uploadBytes]byte)
		defer uploadBuffers.Put(buffer)
		// os.File.ReadFrom would allocate a buffer of its own, a small one.
		_, err := io.CopyBuffer(struct{ io.Writer }{file}, readErrors{body}, buffer[:])
		return err
	}
}

// readErrors makes errors of reading the body the client's.
type readErrors struct{ io.Reader }

func (r readErrors) Read(buffer []byte) (int, error) {
	n, err := r.Reader.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badRequest("the upload broke off: %v", err)
	}
	return n, err
}
