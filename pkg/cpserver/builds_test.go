package cpserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

// filesHash is a hash as E2B's clients compute it; the server does not check it.
var filesHash = strings.Repeat("ab", 32)

// requestedBuild is what a request for a build answers.
type requestedBuild struct {
	TemplateID, BuildID  string
	Public               bool
	Names, Tags, Aliases []string
}

func (b requestedBuild) path() string {
	return "/templates/" + b.TemplateID + "/builds/" + b.BuildID
}

func (p *controlPlane) requestBuild(t *testing.T, body string) requestedBuild {
	t.Helper()
	got := p.do(t, http.MethodPost, "/v3/templates", body)
	requireStatus(t, http.StatusAccepted, got)
	var requested requestedBuild
	got.decode(t, &requested)
	return requested
}

func (p *controlPlane) startBuild(t *testing.T, b requestedBuild, body string) {
	t.Helper()
	requireStatus(t, http.StatusAccepted, p.do(t, http.MethodPost, "/v2"+b.path(), body))
	eventually(t, "the host builds", func() bool { return p.agent.Builder.Request(b.BuildID) != nil })
}

// buildStatus is what the status of a build answers.
type buildStatus struct {
	Status     string
	LogEntries []struct {
		Timestamp            time.Time
		Message, Level, Step string
	}
	Reason *struct {
		Message, Step, Cause string
		LogEntries           []struct{ Message, Level string }
	}
}

func (p *controlPlane) buildStatus(t *testing.T, b requestedBuild, query string) buildStatus {
	t.Helper()
	got := p.do(t, http.MethodGet, b.path()+"/status"+query, "")
	requireStatus(t, http.StatusOK, got)
	var status buildStatus
	got.decode(t, &status)
	return status
}

func (p *controlPlane) awaitBuild(t *testing.T, b requestedBuild, want string) buildStatus {
	t.Helper()
	var status buildStatus
	eventually(t, "the build is "+want, func() bool {
		status = p.buildStatus(t, b, "")
		return status.Status == want
	})
	return status
}

const fromBase = `{"fromTemplate":"base"}`

// The whole way that an SDK goes, but for the upload.
func TestBuilds_EndInATemplateThatIsStartedFromAtOnce(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	b := p.requestBuild(t, `{"name":"mine:v1","tags":["stable","default"],"cpuCount":2,"memoryMB":1024}`)
	require.Equal(t, []string{"default/mine"}, b.Names)
	require.Equal(t, []string{"mine"}, b.Aliases)
	require.Equal(t, []string{"default", "stable", "v1"}, b.Tags)
	require.Equal(t, "waiting", p.buildStatus(t, b, "").Status)
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"mine"}`))
	p.startBuild(t, b, `{"fromTemplate":"base","force":true,"startCmd":"server","steps":[
		{"type":"RUN","args":["make all","root"],"force":true,"gzip":true},
		{"type":"ENV","args":["A","1","B","$A"]},
		{"type":"COPY","args":["src/*.txt","/data/","",""],"filesHash":"`+filesHash+`"},
		{"type":"WORKDIR","args":["/app"]},{"type":"USER","args":["worker","true"]}]}`)
	request := p.agent.Builder.Request(b.BuildID)
	require.Len(t, request.Stages, 1)
	require.Equal(t, hosttest.BuildID, request.Stages[0].GetBuildId())
	require.True(t, request.Force)
	require.Equal(t, "server", request.StartCommand)
	require.Equal(t, "sleep 20", request.ReadyCommand, "a start command alone has E2B's ready command")
	require.EqualValues(t, 2, request.VcpuCount)
	steps := request.Stages[0].Steps
	require.Len(t, steps, 5)
	require.Equal(t, "1", steps[0].Name)
	require.Equal(t, "RUN make all root", steps[0].Text)
	require.True(t, steps[0].Force)
	require.Equal(t, "root", steps[0].GetRun().User)
	require.Equal(t, "$A", steps[1].GetEnv().Variables[1].Value)
	require.Equal(t, filesHash, steps[2].GetCopy().FilesHash)
	require.Equal(t, "/app", steps[3].GetWorkdir().Path)
	require.True(t, steps[4].GetUser().Sudo)

	p.agent.Builder.Say(b.BuildID, "base", "[base] begun")
	p.agent.Builder.SayAt(b.BuildID, pb.BuildLogLevel_BUILD_LOG_LEVEL_DEBUG, "1", "detail")
	eventually(t, "the log is told while the build goes on", func() bool { return len(p.buildStatus(t, b, "").LogEntries) == 2 })
	require.Equal(t, "building", p.buildStatus(t, b, "").Status)
	require.Len(t, p.buildStatus(t, b, "?level=info").LogEntries, 1)
	p.agent.Builder.Say(b.BuildID, "finalize", "done")
	p.agent.Builder.Finish(b.BuildID)
	status := p.awaitBuild(t, b, "ready")
	require.Nil(t, status.Reason)
	require.Equal(t, "finalize", status.LogEntries[2].Step)
	require.Len(t, p.buildStatus(t, b, "?logsOffset=1&level=info").LogEntries, 1, "the offset counts entries from the level on")
	require.Empty(t, p.buildStatus(t, b, "?logsOffset=3").LogEntries)
	for _, name := range []string{"mine", "mine:v1", "mine:stable", "default/mine", b.TemplateID, b.BuildID} {
		require.Equal(t, b.BuildID, p.buildOf(t, name), name)
	}
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, "/v2"+b.path(), fromBase))
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, b.path()+"/cancel", ""))
	again := p.requestBuild(t, `{"name":"mine"}`)
	require.Equal(t, b.TemplateID, again.TemplateID, "a name keeps its template")
}

func TestBuilds_TellTheLogForwardAndBackward(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	b := p.requestBuild(t, `{"name":"mine"}`)
	p.startBuild(t, b, fromBase)
	p.agent.Builder.Say(b.BuildID, "1", "one", "two")
	p.agent.Builder.SayAt(b.BuildID, pb.BuildLogLevel_BUILD_LOG_LEVEL_ERROR, "1", "three")
	eventually(t, "the log is there", func() bool { return len(p.buildStatus(t, b, "").LogEntries) == 3 })
	read := func(query string) (texts []string, last time.Time) {
		got := p.do(t, http.MethodGet, b.path()+"/logs"+query, "")
		requireStatus(t, http.StatusOK, got)
		var log struct {
			Logs []struct {
				Message   string
				Timestamp time.Time
			}
		}
		got.decode(t, &log)
		for _, entry := range log.Logs {
			texts, last = append(texts, entry.Message), entry.Timestamp
		}
		return texts, last
	}
	all, last := read("")
	require.Equal(t, []string{"one", "two", "three"}, all)
	backward, _ := read("?direction=backward&limit=2&source=persistent")
	require.Equal(t, []string{"three", "two"}, backward)
	errors, _ := read("?level=error")
	require.Equal(t, []string{"three"}, errors)
	later, _ := read(fmt.Sprintf("?cursor=%d", last.Add(time.Second).UnixMilli()))
	require.Empty(t, later)
	until, _ := read(fmt.Sprintf("?direction=backward&cursor=%d", last.Add(time.Second).UnixMilli()))
	require.Len(t, until, 3)
	for _, wrong := range []string{"/logs?direction=up", "/logs?cursor=x", "/logs?limit=101", "/status?logsOffset=-1", "/status?level=all"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, b.path()+wrong, ""))
	}
}

func TestBuilds_SayWhichStepFailedAndWhy(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	b := p.requestBuild(t, `{"name":"mine"}`)
	p.startBuild(t, b, `{"fromTemplate":"base","steps":[{"type":"RUN","args":["true"]},{"type":"RUN","args":["make"]}]}`)
	p.agent.Builder.SayAt(b.BuildID, pb.BuildLogLevel_BUILD_LOG_LEVEL_ERROR, "2", "no rule")
	p.agent.Builder.SayAt(b.BuildID, pb.BuildLogLevel_BUILD_LOG_LEVEL_WARN, "1", "of another step")
	p.agent.Builder.Fail(b.BuildID, &pb.BuildFailure{
		Cause: pb.BuildFailureCause_BUILD_FAILURE_CAUSE_COMMAND_FAILED, Step: "2", Command: "make", ExitCode: 2,
		Message: "the command has ended with exit code 2", LastLines: []string{"make: *** No rule"},
	})
	status := p.awaitBuild(t, b, "error")
	require.NotNil(t, status.Reason)
	require.Equal(t, "2", status.Reason.Step)
	require.Equal(t, "command_failed", status.Reason.Cause)
	require.Equal(t, "Step 2: the command has ended with exit code 2\nmake: *** No rule", status.Reason.Message)
	require.Len(t, status.Reason.LogEntries, 1)
	require.Equal(t, "no rule", status.Reason.LogEntries[0].Message)

	missing := p.requestBuild(t, `{"name":"other"}`)
	requireStatus(t, http.StatusAccepted, p.do(t, http.MethodPost, "/v2"+missing.path(), `{"fromTemplate":"none"}`))
	status = p.awaitBuild(t, missing, "error")
	require.Equal(t, "base", status.Reason.Step)
	require.Contains(t, status.Reason.Message, `"none"`)
}

func TestBuilds_CheckWhatTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	p.snapshot(t, s.SandboxID, `{"name":"taken"}`)
	for body, want := range map[string]int{
		`{}`: http.StatusBadRequest, `{"name":"Upper"}`: http.StatusBadRequest, `{"name":"a/b/c"}`: http.StatusBadRequest,
		`{"name":"a","tags":["UP"]}`: http.StatusBadRequest, `{"name":"a","tags":["` + uuid.NewString() + `"]}`: http.StatusBadRequest,
		`{"name":"a:"}`: http.StatusBadRequest, `{"name":"a","cpuCount":0}`: http.StatusBadRequest, `{"name":"a","memoryMB":127}`: http.StatusBadRequest,
		`{"name":"a","minFreeDiskMb":-1}`: http.StatusBadRequest, `{"name":"a","teamID":"other"}`: http.StatusBadRequest,
		`{"name":"other/a"}`: http.StatusConflict, `{"name":"taken"}`: http.StatusConflict,
		`{"name":"default/a","cpuCount":1,"memoryMB":128}`: http.StatusAccepted,
	} {
		requireStatus(t, want, p.do(t, http.MethodPost, "/v3/templates", body))
	}
	var legacy struct {
		TemplateID, BuildID string
		CPUCount, MemoryMB  int
		BuildCount          int
	}
	got := p.do(t, http.MethodPost, "/v2/templates", `{"alias":"a","cpuCount":1,"memoryMB":256}`)
	requireStatus(t, http.StatusAccepted, got)
	got.decode(t, &legacy)
	require.Equal(t, []int{1, 256, 2}, []int{legacy.CPUCount, legacy.MemoryMB, legacy.BuildCount})
	start := "/v2/templates/a/builds/" + legacy.BuildID
	for _, wrong := range []string{
		`{}`, `{"fromImage":"a","fromTemplate":"b"}`, `{"fromImage":"../a"}`, `{"fromTemplate":"base","fromImageRegistry":{"type":"registry","username":"u","password":"p"}}`,
		`{"fromImage":"a","fromImageRegistry":{"type":"registry","username":"u"}}`, `{"fromImage":"a","fromImageRegistry":{"type":"x"}}`,
		`{"fromTemplate":"base","steps":[{"type":"NOPE"}]}`, `{"fromTemplate":"base","steps":[{"type":"RUN","args":[]}]}`,
		`{"fromTemplate":"base","steps":[{"type":"COPY","args":["a","b"],"filesHash":"abc"}]}`,
		`{"fromTemplate":"base","steps":[{"type":"COPY","args":["../a","b"],"filesHash":"` + filesHash + `"}]}`,
		`{"fromTemplate":"base","steps":[{"type":"ENV","args":["A"]}]}`, `{"fromTemplate":"base","steps":[{"type":"ENV","args":["A B","1"]}]}`,
		`{"fromTemplate":"base","steps":[{"type":"USER","args":["a b"]}]}`,
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, start, wrong))
	}
	for _, missing := range []string{"/v2/templates/base/builds/" + legacy.BuildID, "/v2/templates/a/builds/" + uuid.NewString()} {
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, missing, fromBase))
	}
	for _, path := range []string{"/templates", "/templates/a"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, path, `{"alias":"a","dockerfile":"INSTALL x"}`))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/templates/a/builds/"+legacy.BuildID+"/cancel", ""))
}

func TestBuilds_OfDockerfilesAreStartedByTheirRequest(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	request := func(path, body string) requestedBuild {
		got := p.do(t, http.MethodPost, path, body)
		requireStatus(t, http.StatusAccepted, got)
		var requested requestedBuild
		got.decode(t, &requested)
		eventually(t, "the host builds", func() bool { return p.agent.Builder.Request(requested.BuildID) != nil })
		return requested
	}
	first := request("/templates", `{"alias":"mine","dockerfile":"FROM scratch AS one\nFROM debian:12\nRUN make\nCOPY --from=one /a /b"}`)
	sent := p.agent.Builder.Request(first.BuildID)
	require.Len(t, sent.Stages, 2)
	require.True(t, sent.Stages[0].GetScratch())
	require.Equal(t, "debian:12", sent.Stages[1].GetImage().Reference)
	require.EqualValues(t, 3, sent.Stages[1].Steps[0].Line)
	require.Zero(t, sent.Stages[1].Steps[1].GetCopy().GetFromStage())
	again := request("/templates/"+first.TemplateID, `{"alias":"other","dockerfile":"FROM scratch"}`)
	require.Equal(t, first.TemplateID, again.TemplateID, "the path says which template is built again")
	requireStatus(t, http.StatusAccepted, p.do(t, http.MethodPost, again.path(), ""))
	for path, body := range map[string]string{
		"/templates": `{"alias":"a","dockerfile":"FROM scratch\nCOPY a /b"}`, "/templates/mine": `{"dockerfile":"NONSENSE"}`,
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, path, body))
	}
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/templates/none", `{"dockerfile":"FROM scratch"}`))
}

// put sends an upload as an SDK does: to the URL alone.
func put(t *testing.T, link string, size int64, body io.Reader) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, link, body)
	require.NoError(t, err)
	request.ContentLength = size
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

func (p *controlPlane) uploadLink(t *testing.T, b requestedBuild) (present bool, link string) {
	t.Helper()
	got := p.do(t, http.MethodGet, "/templates/"+b.TemplateID+"/files/"+filesHash, "")
	requireStatus(t, http.StatusCreated, got)
	var upload struct {
		Present bool
		URL     string
	}
	got.decode(t, &upload)
	return upload.Present, upload.URL
}

func TestUploads_ReachTheHostOfTheBuildBySignedURLsOnly(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	b := p.requestBuild(t, `{"name":"mine"}`)
	present, link := p.uploadLink(t, b)
	require.False(t, present)
	require.True(t, strings.HasPrefix(link, p.url+"/build-files/"), link)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // more than a request of the API may have
	status, answer := put(t, link, int64(len(content)), bytes.NewReader(content))
	require.Equal(t, http.StatusOK, status, answer)
	parsed, err := url.Parse(link)
	require.NoError(t, err)
	stored, has := p.agent.Builder.Upload(parsed.Query().Get("team"), filesHash)
	require.True(t, has)
	require.True(t, bytes.Equal(content, stored))
	present, _ = p.uploadLink(t, b)
	require.True(t, present)

	change := func(name, value string) string {
		other, query := *parsed, parsed.Query()
		query.Set(name, value)
		other.RawQuery = query.Encode()
		return other.String()
	}
	for forged, want := range map[string]int{
		change("team", uuid.NewString()): http.StatusForbidden, change("host", uuid.NewString()): http.StatusForbidden,
		change("expires", "1"): http.StatusForbidden, change("expires", "99999999999"): http.StatusForbidden,
		change("signature", ""): http.StatusForbidden, change("team", "x"): http.StatusBadRequest,
		strings.Replace(link, filesHash, strings.Repeat("cd", 32), 1): http.StatusForbidden,
	} {
		status, answer = put(t, forged, 1, strings.NewReader("x"))
		require.Equal(t, want, status, "%s: %s", forged, answer)
	}
	status, answer = put(t, link, -1, io.NopCloser(strings.NewReader("chunked")))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, answer, "Content-Length")
	for path, want := range map[string]int{
		"/templates/mine/files/abc": http.StatusBadRequest, "/templates/base/files/" + filesHash: http.StatusNotFound,
	} {
		requireStatus(t, want, p.do(t, http.MethodGet, path, ""))
	}
	requireStatus(t, http.StatusMethodNotAllowed, p.do(t, http.MethodGet, parsed.RequestURI(), ""))
	p.startBuild(t, b, fromBase)
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/templates/mine/files/"+filesHash, ""))
}

func TestBuilds_AreCancelledAndDeletedWithTheirTemplate(t *testing.T) {
	t.Parallel()
	p := extended(t)
	p.start(t)
	b := p.requestBuild(t, `{"name":"mine"}`)
	p.startBuild(t, b, fromBase)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, b.path()+"/cancel", ""))
	require.Equal(t, "cancelled", p.awaitBuild(t, b, "error").Reason.Cause)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, b.path()+"/cancel", ""))

	waiting, running := p.requestBuild(t, `{"name":"mine:a"}`), p.requestBuild(t, `{"name":"mine:b"}`)
	p.startBuild(t, running, fromBase)
	var teamID string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE slug = 'default'").Scan(&teamID))
	got := p.send(t, http.MethodPost, "/admin/teams/"+teamID+"/builds/cancel", "", http.Header{"X-Admin-Token": {adminToken}})
	requireStatus(t, http.StatusOK, got)
	require.JSONEq(t, `{"cancelledCount":2,"failedCount":0}`, string(got.body))
	for _, one := range []requestedBuild{waiting, running} {
		require.Equal(t, "cancelled", p.awaitBuild(t, one, "error").Reason.Cause)
	}
	last := p.requestBuild(t, `{"name":"mine"}`)
	p.startBuild(t, last, fromBase)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/templates/mine", ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, last.path()+"/status", ""))
	var left int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM build_requests) + (SELECT count(*) FROM build_logs)").Scan(&left))
	require.Zero(t, left)
}

func TestBuilds_CountInTheTeamsLimit(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	_, err := p.pool.Exec(t.Context(), "INSERT INTO team_limits (team_id, max_builds) SELECT id, 1 FROM teams ON CONFLICT (team_id) DO UPDATE SET max_builds = 1")
	require.NoError(t, err)
	first, second := p.requestBuild(t, `{"name":"one"}`), p.requestBuild(t, `{"name":"two"}`)
	p.startBuild(t, first, fromBase)
	requireStatus(t, http.StatusTooManyRequests, p.do(t, http.MethodPost, "/v3/templates", `{"name":"three"}`))
	refused := p.do(t, http.MethodPost, "/v2"+second.path(), fromBase)
	requireStatus(t, http.StatusTooManyRequests, refused)
	require.Contains(t, string(refused.body), "1 builds running at once")
	p.agent.Builder.Finish(first.BuildID)
	p.awaitBuild(t, first, "ready")
	p.startBuild(t, second, fromBase)
}

func TestBuilds_KeepCredentialsSealedAndOnlyUntilTheirEnd(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	b := p.requestBuild(t, `{"name":"mine"}`)
	const password = "the-registry's-password"
	body, err := json.Marshal(map[string]any{
		"fromImage": "registry.example.com/image:1", "fromImageRegistry": map[string]string{"type": "registry", "username": "u", "password": password},
	})
	require.NoError(t, err)
	p.startBuild(t, b, string(body))
	image := p.agent.Builder.Request(b.BuildID).Stages[0].GetImage()
	require.Equal(t, "registry.example.com/image:1", image.Reference)
	require.Equal(t, password, image.GetBasic().Password)
	var sealed int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM build_requests WHERE sealed_confidential IS NOT NULL").Scan(&sealed))
	require.Equal(t, 1, sealed)
	p.agent.Builder.Finish(b.BuildID)
	p.awaitBuild(t, b, "ready")
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM build_requests WHERE sealed_confidential IS NOT NULL").Scan(&sealed))
	require.Zero(t, sealed)
	var found int
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM river_job j WHERE j::text LIKE $1)
		+ (SELECT count(*) FROM events e WHERE e::text LIKE $1) + (SELECT count(*) FROM build_requests r WHERE r::text LIKE $1)
		+ (SELECT count(*) FROM audit_entries a WHERE a::text LIKE $1)`, "%"+password+"%").Scan(&found))
	require.Zero(t, found)
}

// A control plane that stops gives its builds to the others, which lose no entry.
func TestReplicas_GoOnWithTheBuildsOfOneThatStops(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	member := f.join(t, "one", echoGuest)
	builder := member.agent.Builder
	for turn := range f.replicas {
		b := f.next().requestBuild(t, fmt.Sprintf(`{"name":"mine-%d"}`, turn))
		_, link := f.next().uploadLink(t, b)
		parsed, err := url.Parse(link)
		require.NoError(t, err)
		for _, replica := range f.replicas { // whichever gets the upload
			status, answer := put(t, replica.url+parsed.RequestURI(), 5, strings.NewReader("hello"))
			require.Equal(t, http.StatusOK, status, answer)
		}
		requireStatus(t, http.StatusAccepted, f.next().do(t, http.MethodPost, "/v2"+b.path(), fromBase))
		eventually(t, "the host builds", func() bool { return builder.Request(b.BuildID) != nil })
		builder.Say(b.BuildID, "1", "before")
		require.NoError(t, f.replicas[turn].stop())
		builder.Say(b.BuildID, "1", "between")
		f.replicas[turn].start(t)
		builder.Say(b.BuildID, "1", "after")
		builder.Finish(b.BuildID)
		status := f.next().awaitBuild(t, b, "ready")
		texts := []string{}
		for _, entry := range status.LogEntries {
			texts = append(texts, entry.Message)
		}
		require.Equal(t, []string{"before", "between", "after"}, texts)
		require.Equal(t, turn+1, builder.Starts(), "it was started once")
	}
}
