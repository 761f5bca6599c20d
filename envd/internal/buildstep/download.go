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
	// maxValidator bounds what is kept of a server's answer.
	maxValidator = 1 << 10
)

func (d Download) do(ctx context.Context, stdin io.Reader) (Result, error) {
	to, err := newTarget(d.Destination, d.Owner, d.Mode)
	if err != nil {
		return Result{}, err
	}
	response, err := get(ctx, d.URL, nil, stdin)
	if err != nil {
		return Result{}, err
	}
	defer response.Body.Close()
	if response.ContentLength > 0 {
		if err := requireRoom(response.ContentLength); err != nil {
			return Result{}, err
		}
	}
	name, err := nameOf(d.URL)
	if err != nil && to.isDirectory() {
		return Result{}, err
	}
	digest, err := d.store(to, to.fileName(name), response)
	return resultOf(response, digest), err
}

// resultOf has what is needed to see later whether a URL has changed.
func resultOf(response *http.Response, digest string) Result {
	bounded := func(name string) string {
		if value := response.Header.Get(name); len(value) <= maxValidator {
			return value
		}
		return ""
	}
	return Result{Changed: true, Digest: digest, ETag: bounded("ETag"), LastModified: bounded("Last-Modified")}
}

// CheckURL looks whether a URL has what it had. Standard input is that of Download.
type CheckURL struct {
	URL string `json:"url"`
	// SHA256, ETag and LastModified are of an earlier Result; the last two may be empty.
	SHA256       string `json:"sha256"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
}

// do reads all that the URL has, unless the server says that it is what it was.
func (c CheckURL) do(ctx context.Context, stdin io.Reader) (Result, error) {
	header := http.Header{}
	if c.ETag != "" {
		header.Set("If-None-Match", c.ETag)
	}
	if c.LastModified != "" {
		header.Set("If-Modified-Since", c.LastModified)
	}
	response, err := get(ctx, c.URL, header, stdin)
	if err != nil {
		return Result{}, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified {
		return Result{Digest: c.SHA256, ETag: c.ETag, LastModified: c.LastModified}, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, response.Body); err != nil {
		return Result{}, fmt.Errorf("download %s: %w", c.URL, err)
	}
	result := resultOf(response, hex.EncodeToString(sum.Sum(nil)))
	result.Changed = result.Digest != c.SHA256
	return result, nil
}

// get asks for a URL. 304 is an answer where the header has a condition.
func get(ctx context.Context, address string, header http.Header, bundle io.Reader) (*http.Response, error) {
	client, err := clientWith(bundle)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	for name := range header {
		request.Header.Set(name, header.Get(name))
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if response.StatusCode != http.StatusOK && (len(header) == 0 || response.StatusCode != http.StatusNotModified) {
		_ = response.Body.Close()
		return nil, fmt.Errorf("download %s: the server answered %s", address, response.Status)
	}
	return response, nil
}

// store writes the file under another name until its hash is known to be right, and returns
// the hash.
func (d Download) store(to *target, place string, response *http.Response) (digest string, err error) {
	sum := sha256.New()
	temporary := place + ".wrenn-download"
	if err := to.writeFile(temporary, io.TeeReader(response.Body, sum), downloadMode, nil); err != nil {
		return "", errors.Join(err, removeIfThere(temporary))
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	if d.SHA256 != "" && digest != d.SHA256 {
		return "", errors.Join(fmt.Errorf("%w: %s has the SHA-256 hash %s, and not %s", errMismatch, d.URL, digest, d.SHA256), removeIfThere(temporary))
	}
	if modified, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		_ = os.Chtimes(temporary, modified, modified)
	}
	if err := os.Rename(temporary, place); err != nil {
		return "", errors.Join(describe(err), removeIfThere(temporary))
	}
	return digest, nil
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
