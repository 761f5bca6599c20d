// Package mmds reads Firecracker's metadata service, version 2, at its link-local address.
// Source: docs/mmds/mmds-user-guide.md in Firecracker.
package mmds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// Metadata is what the host has set in the service.
type Metadata struct {
	SandboxID  id.Sandbox  // empty for none
	TemplateID id.Template // empty for none
	// SecretDigest is the SHA-256 of the host's secret, in hexadecimal digits.
	SecretDigest string
}

// kernelParameter is on the kernel's command line if there is a service. Without it every
// start of another guest would wait for an answer.
const kernelParameter = "wrenn.mmds"

const (
	serviceURL       = "http://169.254.169.254"
	timeout          = 2 * time.Second
	maxMetadataBytes = 64 << 10
	tokenSeconds     = "60"
)

// Service is the metadata service of this machine.
type Service struct {
	base   string
	client *http.Client
}

// Find returns the service, or nil if the VMM has none.
func Find() *Service {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil || !announced(string(line)) {
		return nil
	}
	return newService(serviceURL)
}

func announced(commandLine string) bool {
	return slices.Contains(strings.Fields(commandLine), kernelParameter)
}

func newService(base string) *Service {
	// A connection that is kept open would be in the snapshot.
	transport := &http.Transport{DisableKeepAlives: true, Proxy: nil}
	return &Service{base: base, client: &http.Client{Transport: transport, Timeout: timeout}}
}

// Read asks for the current metadata. With an error about one identifier it returns the
// rest.
func (s *Service) Read(ctx context.Context) (Metadata, error) {
	token, err := s.call(ctx, http.MethodPut, "/latest/api/token", "X-metadata-token-ttl-seconds", tokenSeconds)
	if err != nil {
		return Metadata{}, fmt.Errorf("ask the metadata service for a token: %w", err)
	}
	content, err := s.call(ctx, http.MethodGet, "/", "X-metadata-token", string(token))
	if err != nil {
		return Metadata{}, fmt.Errorf("ask the metadata service: %w", err)
	}
	return parse(content)
}

// parse leaves a malformed identifier out, and returns an error with the rest.
func parse(content []byte) (Metadata, error) {
	var raw struct {
		SandboxID    string `json:"instanceID"`
		TemplateID   string `json:"envID"`
		SecretDigest string `json:"accessTokenHash"`
	}
	if err := json.Unmarshal(content, &raw); err != nil {
		return Metadata{}, fmt.Errorf("ask the metadata service: %w", err)
	}
	metadata := Metadata{SecretDigest: raw.SecretDigest}
	var sandboxErr, templateErr error
	if raw.SandboxID != "" {
		metadata.SandboxID, sandboxErr = id.ParseSandbox(raw.SandboxID)
	}
	if raw.TemplateID != "" {
		metadata.TemplateID, templateErr = id.ParseTemplate(raw.TemplateID)
	}
	if err := errors.Join(sandboxErr, templateErr); err != nil {
		return metadata, fmt.Errorf("read the metadata: %w", err)
	}
	return metadata, nil
}

func (s *Service) call(ctx context.Context, method, path, header, value string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set(header, value)
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxMetadataBytes))
}
