package up

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const tokenLink = "to make the first admin, open this link: http://localhost/first-admin#token=abc"

func TestConsole_KeepsSecretsFromALog(t *testing.T) {
	t.Parallel()
	l := layout(t)
	require.NoError(t, os.MkdirAll(l.secrets(), 0o700))
	require.NoError(t, os.WriteFile(l.APIKey(), newAPIKey(), 0o600))
	key, err := l.ReadAPIKey()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(l.console(), []byte("old"), 0o644))

	var log bytes.Buffer
	s, _ := newStack(t.Context(), Config{}, l, &terminal{out: &log})
	require.NoError(t, s.console.begin())
	s.console.Show(tokenLink)
	require.NoError(t, s.say.showUse(t.Context(), l, instance{URL: "http://localhost:3000", Listen: "127.0.0.1:1"}))
	require.NoError(t, s.console.close())
	require.NotContains(t, log.String(), "abc")
	require.NotContains(t, log.String(), key)
	require.Contains(t, log.String(), l.console(), "it says where the link is")
	require.Contains(t, log.String(), "wrenn env", "and how to see the key")
	kept, err := os.ReadFile(l.console())
	require.NoError(t, err)
	require.Equal(t, tokenLink+"\n", string(kept))
	info, err := os.Stat(l.console())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	person, shown := openTerminal(t)
	require.NoError(t, (&terminal{out: person}).showUse(t.Context(), l, instance{URL: "http://localhost:3000", Listen: "127.0.0.1:1"}))
	require.NoError(t, person.Close())
	text, _ := io.ReadAll(shown) // ends with EIO
	require.Contains(t, string(text), key)
	require.Contains(t, string(text), "#token=abc")
}

func TestConsole_ShowsSecretsOnATerminal(t *testing.T) {
	t.Parallel()
	l := layout(t)
	person, shown := openTerminal(t)
	s, _ := newStack(t.Context(), Config{}, l, &terminal{out: person})
	s.console.Show(tokenLink)
	require.NoError(t, person.Close())
	text, _ := io.ReadAll(shown) // ends with EIO
	require.Contains(t, string(text), tokenLink)
	require.NoFileExists(t, l.console())
}

// openTerminal makes a terminal and returns it with what shows what it was told.
func openTerminal(t *testing.T) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(number)), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal, screen
}
