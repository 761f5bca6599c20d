package vmm

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutput_KeepsItsBeginningAndNoMore(t *testing.T) {
	t.Parallel()
	output, err := OpenOutput()
	require.NoError(t, err)
	defer output.Close()
	run := func(script string) error {
		command := exec.Command("/bin/sh", "-c", script)
		command.Stdout, command.Stderr = output, output
		return command.Run()
	}
	require.Equal(t, "nothing", OutputEnd(output))
	require.NoError(t, run("echo out; echo error >&2"))
	require.Equal(t, "out\nerror", OutputEnd(output))
	require.Error(t, run("yes more and"), "it prints more than is kept")
	info, err := output.Stat()
	require.NoError(t, err)
	require.EqualValues(t, outputBytes, info.Size())
	require.Contains(t, OutputEnd(output), "more and\nmore and")
	require.Error(t, output.Truncate(0), "its size can be changed")
}
