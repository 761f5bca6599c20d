package sandboxes

import (
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// sandboxMetric is the use of a sandbox at one moment. Memory and disk are in bytes.
type sandboxMetric struct {
	Timestamp     time.Time `json:"timestamp"`
	TimestampUnix int64     `json:"timestampUnix"`
	CPUCount      int32     `json:"cpuCount"`
	CPUUsedPct    float64   `json:"cpuUsedPct"`
	MemUsed       int64     `json:"memUsed"`
	MemTotal      int64     `json:"memTotal"`
	MemCache      int64     `json:"memCache"`
	DiskUsed      int64     `json:"diskUsed"`
	DiskTotal     int64     `json:"diskTotal"`
}

func metricOf(sample sandbox.Sample) sandboxMetric {
	return sandboxMetric{
		Timestamp: sample.At.UTC(), TimestampUnix: sample.At.Unix(), CPUCount: sample.CPUCount, CPUUsedPct: rounded(sample.CPUUsedPercent),
		MemUsed: sample.MemoryUsedBytes, MemTotal: sample.MemoryTotalBytes, MemCache: sample.MemoryCacheBytes,
		DiskUsed: sample.DiskUsedBytes, DiskTotal: sample.DiskTotalBytes,
	}
}

// rounded rounds to two decimals, which is finer than the measurement.
func rounded(percent float32) float64 {
	const hundredths = 100
	return math.Round(float64(percent)*hundredths) / hundredths
}

func (h *Handlers) listSandboxMetrics(w http.ResponseWriter, r *http.Request) error {
	span, err := spanQuery(r.URL.Query())
	if err != nil {
		return err
	}
	samples, err := h.Sandboxes.Metrics(r.Context(), request.Team(r), sandboxOf(r), span)
	if err != nil {
		return err
	}
	metrics := make([]sandboxMetric, 0, len(samples))
	for _, sample := range samples {
		metrics = append(metrics, metricOf(sample))
	}
	respond.JSON(w, http.StatusOK, metrics)
	return nil
}

// listLatestMetrics answers with the last sample of each sandbox in the query, where IDs
// are repeated or separated by commas.
func (h *Handlers) listLatestMetrics(w http.ResponseWriter, r *http.Request) error {
	var sandboxIDs []string
	for _, value := range r.URL.Query()["sandbox_ids"] {
		for _, sandboxID := range strings.Split(value, ",") {
			sandboxID, ok := id.ReadSandbox(sandboxID)
			if !ok {
				return fault.New(fault.Invalid, "sandbox_ids must be sandboxes' IDs, separated by commas")
			}
			sandboxIDs = append(sandboxIDs, sandboxID)
		}
	}
	if len(sandboxIDs) == 0 {
		return fault.New(fault.Invalid, "sandbox_ids is missing")
	}
	samples, err := h.Sandboxes.LatestMetrics(r.Context(), request.Team(r), sandboxIDs)
	if err != nil {
		return err
	}
	metrics := make(map[string]sandboxMetric, len(samples))
	for _, sample := range samples {
		metrics[sample.SandboxID] = metricOf(sample)
	}
	respond.JSON(w, http.StatusOK, map[string]any{"sandboxes": metrics})
	return nil
}

// spanQuery reads start and end in seconds since 1970.
func spanQuery(query url.Values) (usage.Span, error) {
	start, err := request.UnixTime(query, "start", 1)
	if err != nil {
		return usage.Span{}, err
	}
	end, err := request.UnixTime(query, "end", 1)
	if err == nil && !start.IsZero() && !end.IsZero() && end.Before(start) {
		err = fault.New(fault.Invalid, "start must not be after end")
	}
	return usage.Span{Start: start, End: end}, err
}
