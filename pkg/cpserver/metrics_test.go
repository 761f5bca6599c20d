package cpserver_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

type metric struct {
	Timestamp                   time.Time
	TimestampUnix               int64
	CPUCount                    int32
	CPUUsedPct                  float64
	MemUsed, MemTotal, MemCache int64
	DiskUsed, DiskTotal         int64
	ConcurrentSandboxes         int
	SandboxStartRate            float64
	Value                       float64
}

func (p *controlPlane) metrics(t *testing.T, path string) []metric {
	t.Helper()
	got := p.do(t, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
	var all []metric
	got.decode(t, &all)
	return all
}

func TestMetrics_AreKeptAlsoWhenTheSandboxIsPausedOrOver(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	path := "/sandboxes/" + s.SandboxID
	taken := time.Now()
	p.agent.Take(&pb.SandboxSamples{
		SandboxId: s.SandboxID, VcpuCount: 2, MemoryLimitBytes: 512, DiskLimitBytes: 4096,
		Samples: []*pb.Sample{{
			At: timestamppb.New(taken), CpuUsedPercent: 12.5, MemoryBytes: 300, DiskAllocatedBytes: 1000,
			Guest: &pb.GuestSample{MemoryUsedBytes: 100, MemoryTotalBytes: 500, MemoryCacheBytes: 50, DiskUsedBytes: 10, DiskTotalBytes: 40},
		}},
	})
	eventually(t, "a sample is stored", func() bool { return len(p.metrics(t, path+"/metrics")) > 0 })
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", ""))
	one := p.metrics(t, path+"/metrics")[0]
	require.WithinDuration(t, taken, one.Timestamp, 5*time.Second)
	require.Equal(t, one.Timestamp.Unix(), one.TimestampUnix)
	require.EqualValues(t, 2, one.CPUCount)
	require.InDelta(t, 12.5, one.CPUUsedPct, 0.01)
	require.Equal(t, []int64{100, 500, 50, 10, 40}, []int64{one.MemUsed, one.MemTotal, one.MemCache, one.DiskUsed, one.DiskTotal})

	var latest struct{ Sandboxes map[string]metric }
	p.do(t, http.MethodGet, "/sandboxes/metrics?sandbox_ids="+s.SandboxID+",i0123456789abcdefghi", "").decode(t, &latest)
	require.Len(t, latest.Sandboxes, 1)
	require.Equal(t, one.MemUsed, latest.Sandboxes[s.SandboxID].MemUsed)

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, path, ""))
	around := fmt.Sprintf("?start=%d&end=%d", taken.Unix()-60, taken.Unix()+60)
	require.Len(t, p.metrics(t, path+"/metrics"+around), 1)
	before := fmt.Sprintf("?start=%d&end=%d", taken.Unix()-600, taken.Unix()-60)
	require.Empty(t, p.metrics(t, path+"/metrics"+before))
}

func TestMetrics_RefuseWhatIsNoTimeAndOtherTeams(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	path := "/sandboxes/" + s.SandboxID + "/metrics"
	for _, wrong := range []string{"?start=x", "?start=-1", "?end=1.5", "?start=20&end=10", "?end=99999999999999"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, path+wrong, ""))
	}
	require.Empty(t, p.metrics(t, path+"?start=0&end=253402300799"))
	for _, wrong := range []string{"", "?sandbox_ids=", "?sandbox_ids=x", "?sandbox_ids=" + s.SandboxID + ","} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/sandboxes/metrics"+wrong, ""))
	}
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	requireStatus(t, http.StatusNotFound, p.send(t, http.MethodGet, path, "", other.Clone()))
	got := p.send(t, http.MethodGet, "/sandboxes/metrics?sandbox_ids="+s.SandboxID, "", other.Clone())
	require.JSONEq(t, `{"sandboxes":{}}`, string(got.body))
}

func TestTeamMetrics_CountWhatRanExactly(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	var team string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE slug = 'default'").Scan(&team))
	// Three in a minute an hour ago, of which two at once; one of another team.
	_, err := p.pool.Exec(t.Context(), `INSERT INTO usage_intervals (sandbox_id, team_id, vcpu_count, memory_mib, started_at, ended_at)
		SELECT 'i' || n, $1, 1, 512, now() - interval '1 hour' + n * interval '10 seconds', now() - interval '1 hour' + (n * 10 + 15) * interval '1 second'
		FROM generate_series(0, 2) n`, team)
	require.NoError(t, err)
	_, err = p.pool.Exec(t.Context(), "UPDATE teams SET created_at = now() - interval '40 days'")
	require.NoError(t, err)
	p.create(t, `{"templateID":"base"}`)
	path := "/teams/" + team + "/metrics"
	points := p.metrics(t, path)
	require.InDelta(t, 200, len(points), 2)
	require.Equal(t, 0, points[0].ConcurrentSandboxes)
	require.Equal(t, 1, points[len(points)-1].ConcurrentSandboxes)
	require.InDelta(t, time.Now().Unix(), points[len(points)-1].TimestampUnix, 10, "the last is of now")
	// A step is minutes long here, and those two ran together for five seconds.
	most24h := 0
	for _, point := range points {
		most24h = max(most24h, point.ConcurrentSandboxes)
	}
	require.Equal(t, 2, most24h)
	now := time.Now().Unix()
	hourAgo := fmt.Sprintf("?start=%d&end=%d", now-3700, now-3500)
	highest, started := 0, 0.0
	for _, point := range p.metrics(t, path+hourAgo) {
		highest = max(highest, point.ConcurrentSandboxes)
		started += point.SandboxStartRate * 5
	}
	require.Equal(t, 2, highest)
	require.InDelta(t, 3, started, 0.01)
	_, err = p.pool.Exec(t.Context(), "UPDATE teams SET created_at = now()")
	require.NoError(t, err)
	today := time.Now().UTC().Truncate(24 * time.Hour).Unix()
	require.GreaterOrEqual(t, p.metrics(t, fmt.Sprintf("%s?start=%d", path, time.Now().Unix()-20*86400))[0].TimestampUnix, today)
	require.Empty(t, p.metrics(t, fmt.Sprintf("%s?start=%d&end=%d", path, today-7200, today-3600)), "there was no team")

	most := func(query string) metric {
		got := p.do(t, http.MethodGet, path+"/max"+query, "")
		require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
		var one metric
		got.decode(t, &one)
		return one
	}
	peak := most(hourAgo + "&metric=concurrent_sandboxes")
	require.InDelta(t, 2, peak.Value, 0)
	require.InDelta(t, now-3590, peak.TimestampUnix, 10)
	require.InDelta(t, 0.2, most(hourAgo+"&metric=sandbox_start_rate").Value, 0.01)
	require.InDelta(t, 1, most(fmt.Sprintf("?start=%d&metric=concurrent_sandboxes", now-60)).Value, 0)
	require.Zero(t, most(fmt.Sprintf("?start=%d&end=%d&metric=sandbox_start_rate", now-9000, now-8000)).Value)

	for _, wrong := range []string{"", "?metric=x", "?metric=concurrent_sandboxes&start=1"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, path+"/max"+wrong, ""))
	}
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/teams/x/metrics", ""))
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodGet, path, "", other))
}
