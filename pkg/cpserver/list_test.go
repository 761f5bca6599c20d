package cpserver_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (p *controlPlane) list(t *testing.T, query url.Values) ([]string, http.Header) {
	t.Helper()
	got := p.do(t, http.MethodGet, "/v2/sandboxes?"+query.Encode(), "")
	requireStatus(t, http.StatusOK, got)
	var sandboxes []sandbox
	got.decode(t, &sandboxes)
	ids := []string{}
	for _, s := range sandboxes {
		ids = append(ids, s.SandboxID)
	}
	return ids, got.header
}

func TestList_PagesInOrderWithoutGapsOrRepeats(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	var ids []string
	for range 7 {
		ids = append(ids, p.create(t, `{"templateID":"base"}`).SandboxID)
	}
	for order, want := range map[string][]string{"asc": ids, "desc": reversed(ids), "": reversed(ids)} {
		var all []string
		query := url.Values{"limit": {"3"}}
		if order != "" {
			query.Set("order", order)
		}
		for pages := 1; ; pages++ {
			page, header := p.list(t, query)
			all = append(all, page...)
			require.Equal(t, "7", header.Get("X-Total-Running"))
			token := header.Get("X-Next-Token")
			if token == "" {
				require.Equal(t, 3, pages)
				break
			}
			query.Set("nextToken", token)
		}
		require.Equal(t, want, all, order)
	}
}

func reversed(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

func TestList_Filters(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	first := p.create(t, `{"templateID":"base","metadata":{"user":"ann","a b&c=d":"é+%/?"}}`)
	second := p.create(t, `{"templateID":"base","metadata":{"user":"bob"}}`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+second.SandboxID+"/pause", ""))

	// Clients escape each key and value, and then the pairs as a whole.
	escaped := url.Values{url.PathEscape("a b&c=d"): {url.PathEscape("é+%/?")}, "user": {"ann"}}.Encode()
	startedFirst := p.get(t, first.SandboxID).StartedAt
	for name, test := range map[string]struct {
		query url.Values
		want  []string
	}{
		"everything":     {url.Values{}, []string{second.SandboxID, first.SandboxID}},
		"metadata":       {url.Values{"metadata": {"user=bob"}}, []string{second.SandboxID}},
		"odd metadata":   {url.Values{"metadata": {escaped}}, []string{first.SandboxID}},
		"no such value":  {url.Values{"metadata": {"user=eve"}}, []string{}},
		"paused":         {url.Values{"state": {"paused"}}, []string{second.SandboxID}},
		"running":        {url.Values{"state": {"running"}}, []string{first.SandboxID}},
		"both by comma":  {url.Values{"state": {"running,paused"}}, []string{second.SandboxID, first.SandboxID}},
		"both, repeated": {url.Values{"state": {"running", "paused"}}, []string{second.SandboxID, first.SandboxID}},
		"by template":    {url.Values{"template": {first.TemplateID}}, []string{second.SandboxID, first.SandboxID}},
		"by alias":       {url.Values{"template": {"base"}}, []string{second.SandboxID, first.SandboxID}},
		"other template": {url.Values{"template": {"other"}}, []string{}},
		"started after":  {url.Values{"startedAfter": {startedFirst.Add(time.Microsecond).Format(time.RFC3339Nano)}}, []string{second.SandboxID}},
		"started at":     {url.Values{"startedAfter": {startedFirst.Format(time.RFC3339Nano)}}, []string{second.SandboxID, first.SandboxID}},
	} {
		got, _ := p.list(t, test.query)
		require.Equal(t, test.want, got, name)
	}
	got := p.do(t, http.MethodGet, "/sandboxes", "")
	var onlyRunning []sandbox
	got.decode(t, &onlyRunning)
	require.Len(t, onlyRunning, 1)
	require.Equal(t, first.SandboxID, onlyRunning[0].SandboxID)
}

func TestList_RefusesBadQueries(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, query := range []string{
		"limit=0", "limit=101", "limit=-1", "limit=many", "state=asleep", "state=running,", "order=sideways",
		"startedAfter=yesterday", "metadata=a%25zz%3Db", "metadata=%3Db", "metadata=a%3D%2500", "template=%00",
		"nextToken=garbage", "nextToken=" + strconv.Itoa(1), "nextToken=OTk5OTk5OTk5OTk5OTk5OTk5OV94", "nextToken=MV___g",
	} {
		got := p.do(t, http.MethodGet, "/v2/sandboxes?"+query, "")
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", query, got.body)
	}
}
