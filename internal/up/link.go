package up

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	// linkTimeout bounds the request for a link.
	linkTimeout = 5 * time.Second
	// maxLinkAnswer bounds how much of its answer is read.
	maxLinkAnswer = 64 << 10
)

// signInLink asks a running Wrenn for a link that opens the dashboard, once.
func (i instance) signInLink(ctx context.Context, layout Layout) (string, error) {
	token, err := layout.ReadAdminToken()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	config := Config{Listen: i.Listen}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, config.dialURL()+"/auth/local/link", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set(auth.AdminTokenHeader, token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ URL, Message string }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxLinkAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("read the answer of status %d: %w", response.StatusCode, err)
	}
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("status %d: %s", response.StatusCode, answer.Message)
	}
	return answer.URL, nil
}
