package buildstep

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"
)

// Download copies a file from a URL, over the guest's own network. Standard input has
// certificates, in PEM, of authorities that are trusted beside the guest's.
type Download struct {
	URL         string `json:"url"`
	Destination string `json:"destination"`
	Owner       string `json:"owner"`
	Mode        string `json:"mode,omitempty"`
	// SHA256 is in hex digits; empty for none.
	SHA256 string `json:"sha256,omitempty"`
}

const (
	// downloadMode is what Docker gives a file without a mode.
	downloadMode    = 0o600
	maxBundleBytes  = 4 << 20
	dialTimeout     = 30 * time.Second
	answerTimeout   = time.Minute
	maxDownloadName = 255
)

func (d Download) do(ctx context.Context, stdin io.Reader) (Result, error) {
	to, err := newTarget(d.Destination, d.Owner, d.Mode)
	if err != nil {
		return Result{}, err
	}
	client, err := clientWith(stdin)
	if err != nil {
		return Result{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, http.NoBody)
	if err != nil {
		return Result{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return Result{}, fmt.Errorf("download: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Result{}, fmt.Errorf("download %s: the server answered %s", d.URL, response.Status)
	}
	if response.ContentLength > 0 {
		if err := requireRoom(response.ContentLength); err != nil {
			return Result{}, err
		}
	}
	name, err := nameOf(d.URL)
	if err != nil && to.isDirectory() {
		return Result{}, err
	}
	return Result{Changed: true}, d.store(to, to.fileName(name), response)
}

// store writes the file under another name until its hash is known to be right.
func (d Download) store(to *target, place string, response *http.Response) error {
	sum := sha256.New()
	temporary := place + ".wrenn-download"
	if err := to.writeFile(temporary, io.TeeReader(response.Body, sum), downloadMode, nil); err != nil {
		return errors.Join(err, removeIfThere(temporary))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); d.SHA256 != "" && got != d.SHA256 {
		return errors.Join(fmt.Errorf("%w: %s has the SHA-256 hash %s, and not %s", errMismatch, d.URL, got, d.SHA256), removeIfThere(temporary))
	}
	if modified, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		_ = os.Chtimes(temporary, modified, modified)
	}
	if err := os.Rename(temporary, place); err != nil {
		return errors.Join(describe(err), removeIfThere(temporary))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// clientWith trusts the guest's authorities and those of a bundle.
func clientWith(bundle io.Reader) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	more, err := io.ReadAll(io.LimitReader(bundle, maxBundleBytes))
	if err != nil {
		return nil, err
	}
	pool.AppendCertsFromPEM(more)
	return &http.Client{Transport: &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: &tls.Config{RootCAs: pool}, ResponseHeaderTimeout: answerTimeout, ForceAttemptHTTP2: true,
	}}, nil
}

// nameOf is the name of the file that a URL has.
func nameOf(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	name := path.Base(parsed.Path)
	if name == "." || name == "/" || len(name) > maxDownloadName {
		return "", fmt.Errorf("%s does not end with the name of a file: give one in the destination", text)
	}
	return name, nil
}
