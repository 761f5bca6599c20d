package channels_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// The type, the resource and the data of each event of channels.
func TestEvents_AreRecordedForEachChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	channel := w.create(t, channels.Email, channels.Config{To: []string{"a@example.com"}}, "key.*")
	name, disabled := "renamed", false
	_, err := w.service.Update(t.Context(), w.team, channel.ID, channels.Change{Name: &name})
	require.NoError(t, err)
	_, err = w.service.Update(t.Context(), w.team, channel.ID, channels.Change{Enabled: &disabled})
	require.NoError(t, err)
	_, err = w.service.Update(t.Context(), w.team, channel.ID, channels.Change{Config: &channels.Config{To: []string{"b@example.com"}}})
	require.NoError(t, err)
	require.NoError(t, w.service.Delete(t.Context(), w.team, channel.ID))
	require.Error(t, w.service.Delete(t.Context(), w.team, channel.ID))

	listed, err := events.NewLog(w.pool).After(t.Context(), w.team, 0, events.Filter{}, 100)
	require.NoError(t, err)
	got := []string{}
	for _, event := range listed {
		require.Equal(t, channel.ID.String(), event.ResourceID)
		got = append(got, fmt.Sprint(event.Type, " ", string(event.Data)))
	}
	require.Equal(t, []string{
		`channel.created {"kind": "email", "name": "a channel", "enabled": true}`,
		`channel.updated {"kind": "email", "name": "renamed", "enabled": true}`,
		`channel.updated {"kind": "email", "name": "renamed", "enabled": false}`,
		`channel.updated {"kind": "email", "name": "renamed", "enabled": false}`,
		`channel.deleted {"kind": "email", "name": "renamed", "enabled": false}`,
	}, got)
}

func TestDeleteOf_DeletesATeamsChannelsAndReturnsTheirEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	channel := w.create(t, channels.Email, channels.Config{To: []string{"a@example.com"}}, "key.*")
	drafts, err := channels.DeleteOf(t.Context(), w.pool, w.team)
	require.NoError(t, err)
	require.Len(t, drafts, 1)
	require.Equal(t, events.ChannelDeleted, drafts[0].Type)
	require.Equal(t, channel.ID.String(), drafts[0].ResourceID)
	left, err := w.service.List(t.Context(), w.team)
	require.NoError(t, err)
	require.Empty(t, left)
}
