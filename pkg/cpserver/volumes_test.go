package cpserver_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type volume struct{ VolumeID, Name, Token, Domain string }

func (p *controlPlane) volume(t *testing.T, name string) volume {
	t.Helper()
	got := p.do(t, http.MethodPost, "/volumes", fmt.Sprintf(`{"name":%q}`, name))
	require.Equal(t, http.StatusCreated, got.status, "body: %s", got.body)
	var v volume
	got.decode(t, &v)
	return v
}

// content sends a request about what is in a volume, with the volume's token.
func (p *controlPlane) content(t *testing.T, v volume, method, what, path, body string) answer {
	t.Helper()
	target := "/volumecontent/" + v.VolumeID + "/" + what + "?path=" + url.QueryEscape(path)
	return p.send(t, method, target, body, http.Header{"Authorization": {"Bearer " + v.Token}})
}

func TestVolumes_AreMadeListedAndDeleted(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	require.Equal(t, "[]\n", string(p.do(t, http.MethodGet, "/volumes", "").body))
	first, second := p.volume(t, "data"), p.volume(t, "Model_weights-2")
	require.NotEmpty(t, first.Token)
	require.NotEqual(t, first.Token, second.Token)
	require.Equal(t, "localhost:3000", first.Domain)

	var listed []volume
	p.do(t, http.MethodGet, "/volumes", "").decode(t, &listed)
	require.Equal(t, []volume{{VolumeID: first.VolumeID, Name: "data"}, {VolumeID: second.VolumeID, Name: "Model_weights-2"}}, listed)
	var again volume
	p.do(t, http.MethodGet, "/volumes/"+first.VolumeID, "").decode(t, &again)
	require.Equal(t, first, again)

	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/volumes", `{"name":"data"}`))
	for _, wrong := range []string{`{}`, `{"name":""}`, `{"name":"a b"}`, `{"name":"../x"}`, `{"name":7}`, `{"name":"x","maxSizeMiB":0}`, `{"name":"` + strings.Repeat("x", 129) + `"}`} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/volumes", wrong))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/volumes/"+first.VolumeID, ""))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		requireStatus(t, http.StatusNotFound, p.do(t, method, "/volumes/"+first.VolumeID, ""))
		requireStatus(t, http.StatusNotFound, p.do(t, method, "/volumes/no-such-volume", ""))
	}
	require.Equal(t, http.StatusNotFound, p.content(t, first, http.MethodGet, "dir", "/", "").status)
	p.volume(t, "data")
}

func TestVolumes_HoldNoMoreThanTheirLimit(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	one := int64(1)
	p.config.VolumeMiB = &one
	p.start(t)
	usual := p.volume(t, "usual")
	var large struct {
		volume
		MaxSizeMiB *int64
	}
	p.do(t, http.MethodPost, "/volumes", `{"name":"large","maxSizeMiB":3}`).decode(t, &large)
	require.EqualValues(t, 3, *large.MaxSizeMiB)
	two := strings.Repeat("x", 2<<20)
	require.Equal(t, http.StatusInsufficientStorage, p.content(t, usual, http.MethodPut, "file", "/f", two).status)
	requireStatus(t, http.StatusCreated, p.content(t, large.volume, http.MethodPut, "file", "/f", two))

	_, err := p.pool.Exec(t.Context(), `INSERT INTO team_limits (team_id, max_volumes, max_volume_mib, max_secrets)
		SELECT id, 3, 2, 1 FROM teams`)
	require.NoError(t, err)
	requireStatus(t, http.StatusTooManyRequests, p.do(t, http.MethodPost, "/volumes", `{"name":"third","maxSizeMiB":3}`))
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/volumes", `{"name":"third","maxSizeMiB":2}`))
	require.NotEqual(t, http.StatusCreated, p.do(t, http.MethodPost, "/volumes", `{"name":"fourth"}`).status)
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/secrets", `{"name":"a","value":"v"}`))
	requireStatus(t, http.StatusTooManyRequests, p.do(t, http.MethodPost, "/secrets", `{"name":"b","value":"v"}`))
}

func TestVolumes_OfAnotherTeamAreNotThere(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	v := p.volume(t, "data")
	other := p.anotherTeam(t)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		requireStatus(t, http.StatusNotFound, p.send(t, method, "/volumes/"+v.VolumeID, "", http.Header{"X-Api-Key": {other}}))
	}
	require.Equal(t, "[]\n", string(p.send(t, http.MethodGet, "/volumes", "", http.Header{"X-Api-Key": {other}}).body))
	got := p.send(t, http.MethodPost, "/sandboxes", `{"templateID":"base","volumeMounts":[{"name":"data","path":"/data"}]}`, http.Header{"X-Api-Key": {other}})
	requireStatus(t, http.StatusBadRequest, got)
}

func TestVolumeContent_OpensByTheVolumesTokenAlone(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	v, other := p.volume(t, "data"), p.volume(t, "other")
	require.Equal(t, http.StatusCreated, p.content(t, v, http.MethodPut, "file", "/a", "secret").status)
	target := "/volumecontent/" + v.VolumeID + "/file?path=/a"
	for name, header := range map[string]http.Header{
		"nothing": {}, "another volume's token": {"Authorization": {"Bearer " + other.Token}},
		"the team's key": {"X-Api-Key": {p.key}}, "the key as a token": {"Authorization": {"Bearer " + p.key}},
		"no bearer": {"Authorization": {v.Token}}, "an empty token": {"Authorization": {"Bearer "}},
	} {
		got := p.send(t, http.MethodGet, target, "", header)
		require.Equal(t, http.StatusUnauthorized, got.status, name)
		require.Contains(t, string(got.body), `"code":"unauthenticated"`)
	}
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodGet, "/volumes", "", http.Header{"Authorization": {"Bearer " + v.Token}}))
	var stored int
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT count(*) FROM volumes v WHERE v::text LIKE '%' || $1 || '%'`, v.Token).Scan(&stored))
	require.Zero(t, stored)
}

func TestVolumeContent_IsStreamedToTheHostAndBack(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	v := p.volume(t, "data")
	large := make([]byte, 5<<20) // more than a body of the control API may have
	_, _ = rand.Read(large)
	got := p.content(t, v, http.MethodPut, "file", "/large", string(large))
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	var entry struct {
		Name, Type, Path string
		Size             int
	}
	got.decode(t, &entry)
	require.Equal(t, "large file /large 5242880", fmt.Sprintf("%s %s %s %d", entry.Name, entry.Type, entry.Path, entry.Size))
	require.True(t, bytes.Equal(large, p.content(t, v, http.MethodGet, "file", "/large", "").body))
	require.Equal(t, http.StatusNotFound, p.content(t, v, http.MethodGet, "file", "/none", "").status)
	require.Equal(t, http.StatusNotFound, p.content(t, v, http.MethodPut, "file", "/no/dir", string(large)).status)
	require.Equal(t, http.StatusCreated, p.content(t, v, http.MethodPost, "dir", "/sub", "").status)
	require.Equal(t, http.StatusOK, p.content(t, v, http.MethodPatch, "path", "/sub", `{"mode":448}`).status)
	require.Equal(t, http.StatusNoContent, p.content(t, v, http.MethodDelete, "path", "/large", "").status)
	var list []struct {
		Path string
		Mode int
	}
	p.content(t, v, http.MethodGet, "dir", "/", "").decode(t, &list)
	require.Len(t, list, 1)
	require.Equal(t, 0o700, list[0].Mode)
}

func TestVolumes_ThatAreMountedAreKeptAndTheirSandboxesKnowThem(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	v := p.volume(t, "data")
	s := p.create(t, `{"templateID":"base","volumeMounts":[{"name":"data","path":"/mnt/data"}]}`)
	asked := p.agent.Creation(s.SandboxID).VolumeMounts
	require.Len(t, asked, 1)
	require.Equal(t, v.VolumeID+" /mnt/data", asked[0].VolumeId+" "+asked[0].Path)
	for _, path := range []string{"/sandboxes/" + s.SandboxID, "/v2/sandboxes"} {
		require.Contains(t, string(p.do(t, http.MethodGet, path, "").body), `"volumeMounts":[{"name":"data","path":"/mnt/data"}]`)
	}
	got := p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/fork", `{}`)
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", `{}`))
	refused := p.do(t, http.MethodDelete, "/volumes/"+v.VolumeID, "")
	requireStatus(t, http.StatusConflict, refused)
	require.Contains(t, string(refused.body), s.SandboxID)
	for sandboxID := range p.agent.States() {
		requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/sandboxes/"+sandboxID, ""))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/volumes/"+v.VolumeID, ""))
}

func TestVolumes_AreMountedOnlyWhereThatCanBeMeant(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.volume(t, "data")
	for _, wrong := range []string{
		`[{"name":"data"}]`, `[{"path":"/a"}]`, `[{"name":"none","path":"/a"}]`, `[{"name":"data","path":"a"}]`,
		`[{"name":"data","path":"/"}]`, `[{"name":"data","path":"/a/../b"}]`, `[{"name":"data","path":"/a/"}]`,
		`[{"name":"data","path":"/proc/1"}]`, `[{"name":"data","path":"/a b"}]`, `[{"name":"data","path":"/a,b"}]`,
		`[{"name":"data","path":"/a"},{"name":"data","path":"/a"}]`, `{"data":"/a"}`,
	} {
		got := p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","volumeMounts":`+wrong+`}`)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", wrong, got.body)
	}
	requireNoRows(t, p)
}

// Of a delete and creates that race, either the volume is kept or no sandbox has it.
func TestVolumes_KeepTheirSandboxesOnTheirHostForAnyReplica(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	requireStatus(t, http.StatusServiceUnavailable, f.next().do(t, http.MethodPost, "/volumes", `{"name":"data"}`))
	storage := f.join(t, "storage", echoGuest)
	v := f.next().volume(t, "data")
	f.join(t, "other", echoGuest)
	for i := range 4 {
		path := fmt.Sprintf("/file-%d", i)
		require.Equal(t, http.StatusCreated, f.next().content(t, v, http.MethodPut, "file", path, path).status)
		require.Equal(t, path, string(f.next().content(t, v, http.MethodGet, "file", path, "").body))
		s := f.next().create(t, `{"templateID":"base","volumeMounts":[{"name":"data","path":"/data"}]}`)
		require.Contains(t, storage.agent.States(), s.SandboxID)
		requireStatus(t, http.StatusNoContent, f.next().do(t, http.MethodDelete, "/sandboxes/"+s.SandboxID, ""))
	}
	requireStatus(t, http.StatusConflict, f.admin(t, http.MethodDelete, "/hosts/"+storage.HostID, ""))
	require.Equal(t, http.StatusOK, f.next().content(t, v, http.MethodGet, "dir", "/", "").status)
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodDelete, "/hosts/"+storage.HostID+"?force=true", ""))
	requireStatus(t, http.StatusNotFound, f.next().do(t, http.MethodGet, "/volumes/"+v.VolumeID, ""))
}
