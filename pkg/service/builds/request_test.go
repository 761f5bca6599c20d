package builds_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

func TestRequest_SupersedesBuildsOfTheSameTagsThatWereNotStarted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, other := f.request(t, "mine"), f.request(t, "mine:v1")
	running, _ := f.begin(t, "mine:v2")
	second := f.request(t, "mine")
	f.request(t, "mine:v2")
	require.Equal(t, first.TemplateID, second.TemplateID)
	f.failedWith(t, first, build.CauseSuperseded)
	for _, kept := range []builds.Requested{other, second} {
		found, _ := f.status(t, kept)
		require.Equal(t, templates.StatusWaiting, found.Status)
	}
	found, _ := f.status(t, running)
	require.Equal(t, templates.StatusBuilding, found.Status)
	err := f.start(t, f.Team, "mine", first.ID.String(), build.Order{FromTemplate: "base"})
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	require.ErrorContains(t, err, second.ID.String())
}

func TestRequest_AsksTheGuardAndStoresNothingThatItRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.guard.err = errors.New("no")
	_, err := f.builds.Request(t.Context(), f.Team, builds.Request{Name: "mine"})
	require.ErrorIs(t, err, f.guard.err)
	f.guard.err = nil
	first := f.request(t, "mine")
	f.request(t, "mine")
	require.Equal(t, []templates.Building{
		{TeamID: f.Team, Needs: scheduler.Resources{VCPUs: 2, MemoryMiB: 1024, DiskMiB: 10240}},
		{TeamID: f.Team, Needs: scheduler.Resources{VCPUs: 2, MemoryMiB: 1024, DiskMiB: 10240}},
		{TeamID: f.Team, TemplateID: first.TemplateID, Needs: scheduler.Resources{VCPUs: 2, MemoryMiB: 1024, DiskMiB: 10240}},
	}, f.guard.asked)
}

func TestRequest_MakesOneTemplateOfManyAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	codes := servicetest.Together(func() error {
		_, err := f.builds.Request(t.Context(), f.Team, builds.Request{Name: "mine"})
		return err
	})
	require.Positive(t, codes[""])
	require.Equal(t, 8, codes[""]+codes[fault.Conflict], "%v", codes)
	var made int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM templates WHERE team_id IS NOT NULL").Scan(&made))
	require.Equal(t, 1, made)
}

// Whatever is built again under a tag, a tag stays with the build that was requested last.
func TestTags_GoToTheBuildThatWasRequestedLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	older, waitOlder := f.begin(t, "mine:v1")
	newer, waitNewer := f.begin(t, "mine:v1")
	for _, one := range []builds.Requested{older, newer} {
		f.awaitHost(t, one)
	}
	f.Agent.Builder.Finish(newer.ID.String())
	require.NoError(t, waitNewer())
	f.Agent.Builder.Finish(older.ID.String())
	require.NoError(t, waitOlder())
	tagged, err := f.Templates.FindStartable(t.Context(), f.Team, "mine:v1", "")
	require.NoError(t, err)
	require.Equal(t, newer.ID, tagged.BuildID)
}

func TestBuilds_OfATeamAreNoOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of := f.request(t, "mine")
	stranger := uuid.New()
	err := f.start(t, stranger, of.TemplateID, of.ID.String(), build.Order{FromTemplate: "base"})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.Equal(t, fault.NotFound, fault.CodeOf(f.builds.Cancel(t.Context(), stranger, of.TemplateID, of.ID.String())))
	_, _, err = f.builds.Files(t.Context(), stranger, of.TemplateID, copying.FilesHash)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.Equal(t, fault.NotFound, fault.CodeOf(f.builds.DeleteTemplate(t.Context(), stranger, of.TemplateID)))
	status, err := f.builds.Status(t.Context(), stranger, of.ID, "", 0, 10)
	require.NoError(t, err)
	require.Empty(t, status)
}

func TestSweep_EndsBuildsThatWereNotStartedForHours(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of := f.request(t, "mine")
	require.NoError(t, f.builds.Sweep(t.Context()))
	_, err := f.Pool.Exec(t.Context(), "UPDATE template_builds SET created_at = created_at - interval '4 hours'")
	require.NoError(t, err)
	require.NoError(t, f.builds.Sweep(t.Context()))
	f.failedWith(t, of, build.CauseNotStarted)
}

func TestDeleteTemplate_DoesNotNeedAHostThatIsRetired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	of, wait := f.begin(t, "mine")
	f.awaitHost(t, of)
	f.Agent.Builder.Finish(of.ID.String())
	require.NoError(t, wait())
	f.Hosts.Put(f.Host, host.NewClient("/nonexistent.sock"))
	require.Equal(t, fault.Unavailable, fault.CodeOf(f.builds.DeleteTemplate(t.Context(), f.Team, "mine")))
	f.setHost(t, f.Host, "retired")
	require.NoError(t, f.builds.DeleteTemplate(t.Context(), f.Team, "mine"))
	require.Equal(t, fault.NotFound, fault.CodeOf(f.builds.DeleteTemplate(t.Context(), f.Team, "mine")))
}

func TestRequest_NamesTheCreatorOfATemplate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	user, key := uuid.New(), uuid.New()
	_, err := f.Pool.Exec(t.Context(), "INSERT INTO users (id, email, name) VALUES ($1, 'ann@example.org', 'Ann')", user)
	require.NoError(t, err)
	_, err = f.Pool.Exec(t.Context(), `INSERT INTO api_keys (id, team_id, name, key_hash, key_prefix, value_length, masked_prefix, masked_suffix, created_by)
		VALUES ($1, $2, 'key', sha256('key'), 'e2b_', 40, 'ab', 'cd', $3)`, key, f.Team, user)
	require.NoError(t, err)
	for name, by := range map[string]auth.Principal{"by-user": {UserID: user}, "by-key": {KeyID: key}} {
		requested, err := f.builds.Request(t.Context(), f.Team, builds.Request{Name: name, By: by})
		require.NoError(t, err)
		require.Equal(t, &templates.Creator{ID: user, Email: "ann@example.org"}, requested.Template.Creator, name)
		again, err := f.builds.Request(t.Context(), f.Team, builds.Request{Name: name})
		require.NoError(t, err)
		require.Equal(t, requested.Template.Creator, again.Template.Creator, "a later build changes nothing")
	}
	require.Nil(t, f.request(t, "by-nobody").Template.Creator)
	_, err = f.Pool.Exec(t.Context(), "DELETE FROM users WHERE id = $1", user)
	require.NoError(t, err)
	page, err := f.Templates.List(t.Context(), f.Team, 10, "")
	require.NoError(t, err)
	for _, listed := range page.Templates {
		require.Nil(t, listed.Creator, "a user who is gone")
	}
}
