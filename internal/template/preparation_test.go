package template

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParsePreparation_ReadsWhatTheProgramPrints(t *testing.T) {
	p, err := ParsePreparation([]byte(`{"user":{"name":"user","uid":1001,"gid":1001,"home":"/home/user","made":true},` +
		`"shell":{"bash":"","standIn":true},"sudo":false,"systemd":false,"init":"wrenn","notes":["the image has no bash"]}` + "\n"))
	require.NoError(t, err)
	require.EqualValues(t, 1001, p.User.UID)
	require.True(t, p.User.Made)
	require.True(t, p.Shell.StandIn)
	require.Equal(t, InitWrenn, p.Init)
	require.Equal(t, []string{"the image has no bash"}, p.Notes)
	require.Empty(t, p.Failure)
}

func TestParsePreparation_BoundsWhatAGuestMaySay(t *testing.T) {
	notes := make([]string, 2*maxNotes)
	for i := range notes {
		notes[i] = "\x1b[31m\r\n" + strings.Repeat("ü", maxNoteCharacters)
	}
	printed, err := json.Marshal(map[string]any{"notes": notes, "error": "a\nb"})
	require.NoError(t, err)
	_, err = ParsePreparation(printed)
	require.ErrorIs(t, err, ErrBadPreparation, "it is too long")
	printed, err = json.Marshal(map[string]any{"notes": notes[:maxNotes+1], "error": "a\nb"})
	require.NoError(t, err)
	p, err := ParsePreparation(printed)
	require.NoError(t, err)
	require.Len(t, p.Notes, maxNotes)
	require.Equal(t, " [31m  ü", p.Notes[0][:len(" [31m  ü")])
	require.Equal(t, maxNoteCharacters, utf8.RuneCountInString(p.Notes[0]))
	require.Equal(t, "a b", p.Failure)
	for _, bad := range []string{"", "nothing", `{"user": 7}`, `{"user":{"uid":-1}}`} {
		_, err := ParsePreparation([]byte(bad))
		require.ErrorIs(t, err, ErrBadPreparation, bad)
	}
}

func FuzzParsePreparation(f *testing.F) {
	f.Add([]byte(`{"notes":["a"],"error":"\u0000"}`))
	f.Fuzz(func(t *testing.T, printed []byte) {
		p, err := ParsePreparation(printed)
		if err != nil {
			return
		}
		for _, text := range append(p.Notes, p.Failure, p.User.Name) {
			require.NotContains(t, text, "\n")
			require.LessOrEqual(t, utf8.RuneCountInString(text), maxNoteCharacters)
		}
	})
}
