package envdclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Metrics is what a guest reports of itself, in bytes. It can be untrue.
type Metrics struct {
	MemoryTotal uint64 `json:"mem_total"`
	MemoryUsed  uint64 `json:"mem_used"`
	MemoryCache uint64 `json:"mem_cache"`
	DiskUsed    uint64 `json:"disk_used"`
	DiskTotal   uint64 `json:"disk_total"`
}

// maxMetricsBytes is many times the answer of an honest guest.
const maxMetricsBytes = 4 << 10

// Metrics asks the guest for its report, once.
func (c *Client) Metrics(ctx context.Context, secret string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/metrics", http.NoBody)
	if err != nil {
		return Metrics{}, fmt.Errorf("ask for metrics: %w", err)
	}
	if secret != "" {
		request.Header.Set(SecretHeader, secret)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return Metrics{}, fmt.Errorf("ask for metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Metrics{}, &StatusError{Path: "/metrics", Status: response.StatusCode}
	}
	var report Metrics
	if err := json.NewDecoder(io.LimitReader(response.Body, maxMetricsBytes)).Decode(&report); err != nil {
		return Metrics{}, fmt.Errorf("read metrics: %w", err)
	}
	return report, nil
}
