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

// openFiles opens its arguments for reading and writing, prints which it could write to,
// and repeats that for each line of input.
const openFiles = `while :; do
	for file in "$@"; do
		if (echo changed >&3) 3<>"$file"; then echo written; else echo refused; fi
	done 2>/dev/null
	read -r again || exit
done`

func TestMemoryOpener_OpensMemoryForReadingAndNothingAfterwards(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: reads another process's memory")
	}
	directory := t.TempDir()
	memory, other := filepath.Join(directory, "memory"), filepath.Join(directory, "other")
	for _, path := range []string{memory, other} {
		require.NoError(t, os.WriteFile(path, []byte("original"), 0o600))
	}
	l, err := newMemoryOpener(memory)
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
	nextLine := func() string {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Equal(t, "refused\n", nextLine(), "memory is open for reading only")
	require.Equal(t, "written\n", nextLine(), "another file")
	require.NoError(t, l.end())
	_, err = io.WriteString(input, "again\n")
	require.NoError(t, err)
	require.Equal(t, "refused\n", nextLine())
	require.Equal(t, "refused\n", nextLine(), "no file can be opened for writing any more")
	require.NoError(t, input.Close())
	require.Error(t, command.Wait(), "read found no more")

	content, err := os.ReadFile(memory)
	require.NoError(t, err)
	require.Equal(t, "original", string(content))
	content, err = os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "changed\n", string(content)[:len("changed\n")])
}

func TestMemoryOpener_RefusesAQEMUThatDidNotAsk(t *testing.T) {
	t.Parallel()
	memory := filepath.Join(t.TempDir(), "memory")
	require.NoError(t, os.WriteFile(memory, nil, 0o600))
	l, err := newMemoryOpener(memory)
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
	<-l.done // no process with the filter is left
	require.Error(t, l.end())
}
