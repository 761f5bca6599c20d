package jupyter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

var (
	// errNoKernel is returned for a kernel that Jupyter does not have.
	errNoKernel     = errors.New("no such kernel")
	errDisconnected = errors.New("the connection to the kernel was lost")
)

const (
	// callTimeout bounds each call of Jupyter's API. Starting R's kernel in an emulated
	// guest takes tens of seconds.
	callTimeout = 2 * time.Minute
	// largestAnswer bounds what is read of an answer.
	largestAnswer = 4 << 20
)

// client calls Jupyter's REST API through its Unix socket.
type client struct {
	http  *http.Client
	token string
	log   *slog.Logger
}

func newClient(socket, token string, log *slog.Logger) *client {
	dialer := &net.Dialer{}
	return &client{
		token: token, log: log,
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			MaxIdleConns: 4, IdleConnTimeout: time.Minute,
		}},
	}
}

// call sends a request with a body, and reads the answer into into; both may be nil.
func (c *client) call(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body == nil {
		encoded = nil
	}
	sent, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	sent.Header.Set("Authorization", "token "+c.token)
	sent.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(sent)
	if err != nil {
		return fmt.Errorf("ask Jupyter: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("ask Jupyter: %s %s: %w", method, path, err)
	case response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("ask Jupyter: %s %s: %w", method, path, errNoKernel)
	case response.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("ask Jupyter: %s %s: %s: %.500s", method, path, response.Status, answer)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("ask Jupyter: %s %s: %w", method, path, err)
	}
	return nil
}

// languages are the languages of Jupyter's kernels, in lower case, with the names of
// their kernels.
func (c *client) languages(ctx context.Context) (map[string]string, error) {
	var found struct {
		Specs map[string]struct {
			Spec struct {
				Language string `json:"language"`
			} `json:"spec"`
		} `json:"kernelspecs"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/kernelspecs", nil, &found); err != nil {
		return nil, err
	}
	languages := map[string]string{}
	for name, one := range found.Specs {
		language := strings.ToLower(one.Spec.Language)
		// Of several kernels of one language the one with the first name is taken.
		if earlier, has := languages[language]; language != "" && (!has || name < earlier) {
			languages[language] = name
		}
	}
	return languages, nil
}

// start starts a kernel in a directory and returns its ID.
func (c *client) start(ctx context.Context, name, directory string) (string, error) {
	var made struct {
		ID string `json:"id"`
	}
	// Jupyter's root directory is /, and its paths have no slash in front.
	body := map[string]string{"name": name, "path": strings.TrimPrefix(directory, "/")}
	if err := c.call(ctx, http.MethodPost, "/api/kernels", body, &made); err != nil {
		return "", err
	}
	return made.ID, nil
}

func (c *client) interrupt(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/api/kernels/"+id+"/interrupt", nil, nil)
}

func (c *client) restart(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/api/kernels/"+id+"/restart", nil, nil)
}

func (c *client) stop(ctx context.Context, id string) error {
	err := c.call(ctx, http.MethodDelete, "/api/kernels/"+id, nil, nil)
	if errors.Is(err, errNoKernel) {
		return nil
	}
	return err
}
