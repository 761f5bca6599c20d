package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Download sends one file: completely, a range of it, or compressed.
func (h *Handler) Download(w http.ResponseWriter, r *http.Request) {
	if err := h.download(w, r); err != nil {
		h.fail(w, err)
	}
}

// download returns an error only before the answer has begun.
func (h *Handler) download(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Accept-Encoding")
	user, err := h.caller(r.URL.Query().Get("username"))
	if err != nil {
		return err
	}
	path, err := h.resolve(r.URL.Query().Get("path"), user)
	if err != nil {
		return err
	}
	compress, err := wantsGzip(r.Header)
	if err != nil {
		return err
	}
	file, info, err := open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	defer endReads(r.Context(), file)()
	switch {
	case compress:
		describe(w.Header(), path)
		w.Header().Set("Content-Encoding", "gzip")
		if r.Method != http.MethodHead {
			sendCompressed(w, file)
		}
	case info.Size() <= maxKernelSize:
		return sendKernel(w, r, file, info.ModTime())
	default:
		describe(w.Header(), path)
		http.ServeContent(w, r, "", info.ModTime(), file)
	}
	return nil
}

// describe sets the headers of a file. Browsers save it and do not show it.
func describe(header http.Header, path string) {
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filepath.Base(path)}))
	header.Set("Content-Type", "application/octet-stream")
	if kind := mime.TypeByExtension(filepath.Ext(path)); kind != "" {
		header.Set("Content-Type", kind)
	}
}

func sendCompressed(w io.Writer, file io.Reader) {
	// Many clients ask for gzip by default, so it is to be fast.
	compressor, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // fails only for invalid levels
	if _, err := io.Copy(compressor, file); err != nil {
		panic(http.ErrAbortHandler) // otherwise the answer would look complete
	}
	if err := compressor.Close(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// Files of /proc have size 0 and files of /sys that of a page, whatever their content.
const (
	maxKernelSize   = 4096
	kernelReadBytes = 64 << 10
)

// sendKernel sends a file whose size may be wrong.
func sendKernel(w http.ResponseWriter, r *http.Request, file *os.File, changed time.Time) error {
	start := make([]byte, kernelReadBytes)
	n, err := io.ReadFull(file, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	describe(w.Header(), file.Name())
	if err != nil {
		http.ServeContent(w, r, "", changed, bytes.NewReader(start[:n]))
		return nil
	}
	if _, err := io.Copy(w, io.MultiReader(bytes.NewReader(start), file)); err != nil {
		panic(http.ErrAbortHandler) // otherwise the answer would look complete
	}
	return nil
}

// open opens a regular file. It does not wait for the writer of a pipe.
func open(path string) (*os.File, os.FileInfo, error) {
	// Checked before opening: opening a device can have effects.
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, &described{fmt.Sprintf("path '%s' does not exist", path), err}
	}
	if err == nil {
		err = requireRegular(path, info)
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err == nil {
		err = requireRegular(path, info)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

func requireRegular(path string, info os.FileInfo) error {
	switch {
	case info.IsDir():
		return &described{fmt.Sprintf("path '%s' is a directory", path), errIsDirectory}
	case !info.Mode().IsRegular():
		return badRequest("path '%s' is not a regular file", path)
	default:
		return nil
	}
}

// endReads ends blocking reads, as of the kernel's log, with the request. The returned
// function must be called before the file is closed.
func endReads(ctx context.Context, file *os.File) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = file.SetReadDeadline(time.Unix(1, 0)) // fails for a file on a disk, which never blocks
	})
}
