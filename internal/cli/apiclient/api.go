// Package apiclient calls the public API for the commands of wrenn.
package apiclient

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// requestTimeout bounds one call of the API. A create takes seconds on a machine that
// emulates its sandboxes.
const requestTimeout = 2 * time.Minute

// API is a client of the public API.
type API struct {
	// URL is the API's address.
	URL string
	// SandboxURL is where the traffic of all sandboxes goes.
	SandboxURL string
	HTTP       *http.Client

	key string
	// adminToken, if set, is sent instead of the key.
	adminToken string
}

// ForAdmin is a client with an admin's token.
func ForAdmin(address, token string) *API {
	return &API{URL: address, adminToken: token, HTTP: &http.Client{}}
}

// ForKey is a client with an API key; without an address for the traffic of sandboxes that
// is the API's.
func ForKey(address, sandboxURL, key string) *API {
	return &API{URL: address, key: key, SandboxURL: cmp.Or(sandboxURL, address), HTTP: &http.Client{}}
}

// Key is the team's API key.
func (a *API) Key() string { return a.key }

// Connect finds the API as the official SDKs do, by E2B_API_URL and E2B_API_KEY. For
// those that are not set it uses the Wrenn that serves a data directory of this machine.
func (c *Settings) Connect() (*API, error) {
	if err := c.Read(); err != nil {
		return nil, err
	}
	address, key := c.APIURL, c.APIKey
	if address == "" || key == "" {
		local, err := ConnectLocal(c.DataDir)
		switch {
		case err != nil && address == "":
			return nil, fmt.Errorf("%w; or set E2B_API_URL and E2B_API_KEY", err)
		case err != nil:
			return nil, errors.New("E2B_API_URL is set but E2B_API_KEY is not")
		}
		address, key = cmp.Or(address, local.URL), cmp.Or(key, local.key)
	}
	return ForKey(address, c.SandboxURL, key), nil
}

// ConnectAdmin finds the API for an admin by E2B_API_URL and WRENN_ADMIN_TOKEN. For those
// that are not set it uses the Wrenn that serves a data directory of this machine. The
// token in the directory is sent only to that Wrenn.
func (c *Settings) ConnectAdmin() (*API, error) {
	if err := c.Read(); err != nil {
		return nil, err
	}
	address, token := c.APIURL, c.AdminToken
	if address == "" || token == "" {
		layout := up.Layout{DataDir: c.DataDir}
		local, ready, err := layout.URL()
		switch {
		case err != nil && address == "":
			return nil, fmt.Errorf("%w; or set E2B_API_URL", err)
		case !ready && address == "":
			return nil, fmt.Errorf("no Wrenn is running in %s; or set E2B_API_URL", c.DataDir)
		case token == "" && address != "" && (!ready || address != local):
			return nil, errors.New("WRENN_ADMIN_TOKEN is not set: it is the content of the control plane's WRENN_ADMIN_TOKEN_FILE")
		}
		address = cmp.Or(address, local)
		if token == "" {
			token, err = layout.ReadAdminToken()
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("the admin token in %s can be read by root only; run it with sudo, or set WRENN_ADMIN_TOKEN", c.DataDir)
		}
		if err != nil {
			return nil, err
		}
	}
	return ForAdmin(address, token), nil
}

// ConnectLocal finds the Wrenn that serves a data directory of this machine.
func ConnectLocal(dataDir string) (*API, error) {
	layout := up.Layout{DataDir: dataDir}
	address, ready, err := layout.URL()
	if err != nil {
		return nil, err
	}
	if !ready {
		return nil, fmt.Errorf("no Wrenn is running in %s; start it: sudo wrenn up", dataDir)
	}
	key, err := layout.ReadAPIKey()
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("the API key in %s can be read by root only; run it with sudo", dataDir)
	}
	if err != nil {
		return nil, err
	}
	return ForKey(address, address, key), nil
}

// Call sends a request and decodes the answer into result unless that is nil. It returns
// the answer's headers.
func (a *API) Call(ctx context.Context, method, path string, body, result any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := a.NewRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	response, err := a.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the API does not answer: %w", withoutURL(err))
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, ReadRefusal(response)
	}
	if result == nil {
		return response.Header, nil
	}
	if err := json.NewDecoder(response.Body).Decode(result); err != nil {
		return nil, fmt.Errorf("the API at %s does not answer with JSON: %w", a.URL, err)
	}
	return response.Header, nil
}

// NewRequest makes a request with the credentials. A body is encoded as JSON.
func (a *API) NewRequest(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.URL, "/")+path, content)
	if err != nil {
		return nil, fmt.Errorf("E2B_API_URL: %w", withoutURL(err))
	}
	if a.adminToken != "" {
		request.Header.Set(auth.AdminTokenHeader, a.adminToken)
	} else {
		request.Header.Set(auth.APIKeyHeader, a.key)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// Refusal is an answer of the API that refuses a request.
type Refusal struct { //nolint:errname // the API's word
	Message string `json:"message"`
	// ErrorCode is for programs; it may be empty.
	ErrorCode string `json:"error_code"`
}

// Error is the message.
func (r *Refusal) Error() string { return r.Message }

// ReadRefusal returns an error answer as a *Refusal where it is one of the API's.
func ReadRefusal(response *http.Response) error {
	var refusal Refusal
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("the API answers %s: %w", response.Status, err)
	}
	if json.Unmarshal(content, &refusal) != nil || refusal.Message == "" {
		return fmt.Errorf("the API answers %s", response.Status)
	}
	return &refusal
}

// withoutURL returns an error of net/http without the method and URL that begin it.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
