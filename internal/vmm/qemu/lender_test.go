package qemu

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

// openFiles opens its arguments for reading and writing, says what it could
// write to, and does it again when it is told to.
const openFiles = `while :; do
	for file in "$@"; do
		if (echo changed >&3) 3<>"$file"; then echo written; else echo refused; fi
	done 2>/dev/null
	read -r again || exit
done`

func TestLender_LendsMemoryForReadingAndLetsNothingBeOpenedAfterwards(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: reads another process's memory")
	}
	directory := t.TempDir()
	memory, other := filepath.Join(directory, "memory"), filepath.Join(directory, "other")
	for _, path := range []string{memory, other} {
		require.NoError(t, os.WriteFile(path, []byte("original"), 0o600))
	}
	l, err := newLender(memory)
	require.NoError(t, err)
	command := exec.Command("/bin/sh", "-c", openFiles, "sh", memory, other)
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, thread.Run(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		if err := l.watch(); err != nil {
			return err
		}
		return command.Start()
	}))
	lines := bufio.NewReader(output)
	said := func() string {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Equal(t, "refused\n", said(), "memory that was lent for reading")
	require.Equal(t, "written\n", said(), "another file")
	require.NoError(t, l.end())
	_, err = io.WriteString(input, "again\n")
	require.NoError(t, err)
	require.Equal(t, "refused\n", said())
	require.Equal(t, "refused\n", said(), "a file that nobody answers for")
	require.NoError(t, input.Close())
	require.Error(t, command.Wait(), "read found no more")

	content, err := os.ReadFile(memory)
	require.NoError(t, err)
	require.Equal(t, "original", string(content))
	content, err = os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "changed\n", string(content)[:len("changed\n")])
}

func TestLender_RefusesAQEMUThatDidNotAsk(t *testing.T) {
	t.Parallel()
	memory := filepath.Join(t.TempDir(), "memory")
	require.NoError(t, os.WriteFile(memory, nil, 0o600))
	l, err := newLender(memory)
	require.NoError(t, err)
	command := exec.Command("/bin/true")
	require.NoError(t, thread.Run(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		if err := l.watch(); err != nil {
			return err
		}
		return command.Start()
	}))
	require.NoError(t, command.Wait())
	<-l.done // nobody is left who could ask
	require.Error(t, l.end())
}
