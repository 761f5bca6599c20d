package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// initRequest is the body of POST /init.
type initRequest struct {
	Secret         string            `json:"accessToken"` // the host's, for this life
	EnvVars        map[string]string `json:"envVars"`
	Timestamp      time.Time         `json:"timestamp"`
	LifecycleID    string            `json:"lifecycleID"`
	DefaultUser    string            `json:"defaultUser"`
	DefaultWorkdir string            `json:"defaultWorkdir"`
	CABundle       string            `json:"caBundle"`
	HyperloopIP    string            `json:"hyperloopIP"`
	VolumeMounts   []host.Volume     `json:"volumeMounts"`
	RandomSeed     []byte            `json:"randomSeed"` // Wrenn's own; secret

	hostService netip.Addr // HyperloopIP, parsed
}

// Bounds of one request.
const (
	maxInitBytes      = 4 << 20
	maxLifecycleBytes = 128
	maxVolumes        = 64
)

func decodeInit(body io.Reader) (initRequest, error) {
	var request initRequest
	if err := json.NewDecoder(body).Decode(&request); err != nil && !errors.Is(err, io.EOF) {
		return request, fmt.Errorf("malformed body: %w", err)
	}
	return request, request.check()
}

func (r *initRequest) check() error {
	for name, value := range r.EnvVars {
		if err := utils.CheckVariable(name, value); err != nil {
			return fmt.Errorf("envVars: %w", err)
		}
	}
	if r.DefaultWorkdir != "" && (!strings.HasPrefix(r.DefaultWorkdir, "/") || strings.ContainsRune(r.DefaultWorkdir, 0)) {
		return errors.New("defaultWorkdir is not an absolute path")
	}
	if len(r.LifecycleID) > maxLifecycleBytes {
		return fmt.Errorf("lifecycleID is longer than %d bytes", maxLifecycleBytes)
	}
	if r.RandomSeed != nil && len(r.RandomSeed) != host.SeedBytes {
		return fmt.Errorf("randomSeed is not %d bytes", host.SeedBytes)
	}
	if r.CABundle != "" {
		if err := host.CheckCertificates([]byte(r.CABundle)); err != nil {
			return fmt.Errorf("caBundle: %w", err)
		}
	}
	if len(r.VolumeMounts) > maxVolumes {
		return fmt.Errorf("volumeMounts: more than %d", maxVolumes)
	}
	for _, volume := range r.VolumeMounts {
		if err := volume.Check(); err != nil {
			return fmt.Errorf("volumeMounts: %w", err)
		}
	}
	if r.HyperloopIP == "" {
		return nil
	}
	address, err := netip.ParseAddr(r.HyperloopIP)
	if err != nil {
		return fmt.Errorf("hyperloopIP: %w", err)
	}
	r.hostService = address
	return nil
}
