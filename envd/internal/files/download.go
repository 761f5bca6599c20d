package files

import (
	"compress/gzip"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
)

// Download sends one file: whole, in part, or compressed where that is asked.
func (h *Handler) Download(w http.ResponseWriter, r *http.Request) {
	user, err := h.caller(r.URL.Query().Get("username"))
	if err != nil {
		h.fail(w, err)
		return
	}
	path, err := h.resolve(r.URL.Query().Get("path"), user)
	if err != nil {
		h.fail(w, err)
		return
	}
	file, info, err := open(user, path)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer file.Close()
	header := w.Header()
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(path)}))
	header.Set("Content-Type", "application/octet-stream")
	if kind := mime.TypeByExtension(filepath.Ext(path)); kind != "" {
		header.Set("Content-Type", kind)
	}
	header.Add("Vary", "Accept-Encoding")
	if wantsGzip(r) {
		header.Set("Content-Encoding", "gzip")
		compressor := gzip.NewWriter(w)
		if _, err := io.Copy(compressor, file); err == nil {
			_ = compressor.Close() // else the client sees a stream without an end
		}
		return
	}
	http.ServeContent(w, r, "", info.ModTime(), file)
}

// open opens a file as the user. It never waits: a pipe or device without a
// writer would hold the request for ever.
func open(user *permissions.User, path string) (*os.File, os.FileInfo, error) {
	var file *os.File
	var info os.FileInfo
	err := user.Do(func() (err error) {
		if info, err = os.Stat(path); err != nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%s: %w", path, errIsDirectory)
		}
		if !info.Mode().IsRegular() {
			return badRequest("%s is not a regular file", path)
		}
		file, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		return err
	})
	return file, info, err
}

// wantsGzip says whether the client explicitly prefers gzip; a part of a file
// is never compressed.
func wantsGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for _, accepted := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(accepted), ";")
		if strings.TrimSpace(name) == "gzip" {
			quality := strings.ReplaceAll(parameters, " ", "")
			return quality != "q=0" && quality != "q=0.0"
		}
	}
	return false
}
