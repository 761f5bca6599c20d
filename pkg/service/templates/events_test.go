package templates_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// told leaves out what is told of the sandbox that snapshots are taken of.
func (f fixture) told(t *testing.T) []string {
	t.Helper()
	lines := []string{}
	for _, line := range servicetest.Told(t, f.Pool, f.Team) {
		var kind string
		_, err := fmt.Sscan(line, &kind)
		require.NoError(t, err)
		switch events.Type(kind) {
		case events.SandboxCreated, events.SandboxStarted, events.SandboxKilled:
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// buildsOf returns a snapshot's builds, the oldest first.
func (f fixture) buildsOf(t *testing.T, templateID string) (builds []string) {
	t.Helper()
	err := f.Pool.QueryRow(t.Context(), "SELECT array_agg(id::text ORDER BY created_at) FROM template_builds WHERE template_id = $1", templateID).Scan(&builds)
	require.NoError(t, err)
	return builds
}

// The type, the resource and the data of each event of snapshots, which are templates.
func TestEvents_AreToldOfEachChangeOfASnapshot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	s := f.Start(t)
	taken, err := f.Snapshot(ctx, f.Team, s.ID, templates.NewSnapshot{Name: "saved"})
	require.NoError(t, err)
	_, err = f.Snapshot(ctx, f.Team, s.ID, templates.NewSnapshot{Name: "saved:v2"})
	require.NoError(t, err)
	builds := f.buildsOf(t, taken.ID)
	require.Len(t, builds, 2)
	public, private := true, false
	for _, wanted := range []*bool{&private, &public, &public, nil, &private} {
		_, err = f.Templates.Publish(ctx, f.Team, taken.ID, wanted)
		require.NoError(t, err)
	}
	require.NoError(t, f.Templates.DeleteSnapshot(ctx, f.Team, "saved"))
	require.Error(t, f.Templates.DeleteSnapshot(ctx, f.Team, "saved"))
	require.Equal(t, []string{
		"sandbox.snapshotted " + s.ID + ` {"snapshotID": "` + taken.ID + `"}`,
		"template.created " + taken.ID + ` {"public": false}`,
		"template.built " + taken.ID + ` {"buildID": "` + builds[0] + `"}`,
		"template.built " + taken.ID + ` {"buildID": "` + builds[1] + `"}`,
		"template.updated " + taken.ID + ` {"public": true}`,
		"template.updated " + taken.ID + ` {"public": false}`,
		"template.deleted " + taken.ID + ` {"public": false}`,
	}, f.told(t))
}

func TestEvents_AreToldOfASnapshotThatFailed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "snapshot" {
			return connect.NewError(connect.CodeInternal, errors.New("disk full"))
		}
		return nil
	})
	_, err := f.Snapshot(t.Context(), f.Team, s.ID, templates.NewSnapshot{})
	require.Error(t, err)
	told := f.told(t)
	require.Len(t, told, 3)
	var snapshot string
	_, err = fmt.Sscanf(told[1], "template.created %s", &snapshot)
	require.NoError(t, err)
	require.Equal(t, []string{
		"sandbox.snapshotted " + s.ID + ` {"snapshotID": "` + snapshot + `"}`,
		"template.created " + snapshot + ` {"public": false}`,
		"template.deleted " + snapshot + ` {"public": false}`,
	}, told)
}

// A host's own templates belong to the installation.
func TestEvents_AreToldOfTemplatesThatAHostHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.Sync.Sync(t.Context()), "nothing new")
	var template string
	var build uuid.UUID
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT template_id, id FROM template_builds").Scan(&template, &build))
	var told []string
	for _, line := range servicetest.Told(t, f.Pool, events.Installation) {
		if line[:5] != "host." {
			told = append(told, line)
		}
	}
	require.Equal(t, []string{
		"template.created " + template + ` {"public": true}`,
		"template.built " + template + ` {"buildID": "` + build.String() + `"}`,
	}, told)
}
