// Package webui serves the dashboard. Its files are built from web/ and committed, so
// that whoever imports this module has them.
package webui

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

const (
	// prefix begins the paths of the dashboard's pages and files. The API has none there.
	prefix = "/app"
	// assets begins the paths of files whose names change with their content.
	assets = prefix + "/assets/"
	index  = prefix + "/index.html"

	pageCaching  = "no-cache"
	assetCaching = "public, max-age=31536000, immutable"
)

// entries are the pages outside of prefix. Links in mails and on terminals lead there.
var entries = []string{
	"/", "/sign-in", "/second-factor", "/local", "/first-admin", "/password-forgotten", "/password-reset", "/invitation",
}

// Dashboard serves the pages and files of the dashboard.
type Dashboard struct {
	policy string
	files  func() (map[string]file, error)
}

// file is one file, as it is and compressed.
type file struct {
	contentType string
	plain       []byte
	compressed  []byte // nil where it is not smaller
}

// New makes a Dashboard. Its pages connect to the sandboxes of a domain, beside the
// server that they come from.
func New(domain string) *Dashboard {
	return &Dashboard{policy: policy(domain), files: sync.OnceValues(load)}
}

// policy is the Content-Security-Policy of the pages. It has no exception for inline
// scripts and styles.
func policy(domain string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
		"connect-src 'self' *." + domain, "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
	}, "; ")
}

// Before returns a handler that serves the dashboard and passes all other requests to
// next.
func (d *Dashboard) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead || !isOurs(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		files, err := d.files()
		if err != nil {
			http.Error(w, "The dashboard cannot be read.", http.StatusInternalServerError)
			return
		}
		d.serve(w, r, files)
	})
}

func isOurs(requested string) bool {
	return requested == prefix || strings.HasPrefix(requested, prefix+"/") || slices.Contains(entries, requested)
}

// serve answers with the file of a path. All other paths are pages, which the script of
// the one HTML file tells apart.
func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, files map[string]file) {
	header := w.Header()
	found, there := files[r.URL.Path]
	switch {
	case there && strings.HasPrefix(r.URL.Path, assets):
		header.Set("Cache-Control", assetCaching)
	case strings.HasPrefix(r.URL.Path, assets):
		http.NotFound(w, r)
		return
	case !there:
		found = files[index]
		fallthrough
	default:
		header.Set("Cache-Control", pageCaching)
	}
	header.Set("Content-Security-Policy", d.policy)
	header.Set("Content-Type", found.contentType)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Vary", "Accept-Encoding")
	header.Set("X-Content-Type-Options", "nosniff")
	content := found.plain
	if found.compressed != nil && acceptsGzip(r) {
		header.Set("Content-Encoding", "gzip")
		content = found.compressed
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(content) // the client may have disconnected
	}
}

func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if name == "gzip" && strings.TrimSpace(quality) != "q=0" {
			return true
		}
	}
	return false
}

// load reads and compresses the files, by the paths under which they are served.
func load() (map[string]file, error) {
	files := map[string]file{}
	err := fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		compressed, err := compress(content)
		if err != nil {
			return fmt.Errorf("compress %s: %w", name, err)
		}
		files[prefix+strings.TrimPrefix(name, "dist")] = file{contentType(name), content, compressed}
		return nil
	})
	return files, err
}

func contentType(name string) string {
	if path.Ext(name) == ".js" {
		return "text/javascript; charset=utf-8" // whatever the machine's table says
	}
	return mime.TypeByExtension(path.Ext(name))
}

func compress(content []byte) ([]byte, error) {
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	if compressed.Len() >= len(content) {
		return nil, nil
	}
	return compressed.Bytes(), nil
}
