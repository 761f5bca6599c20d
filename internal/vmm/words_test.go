package vmm

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWords_KeepWhatWasSaidFirstAndNoMore(t *testing.T) {
	t.Parallel()
	words, err := OpenWords()
	require.NoError(t, err)
	defer words.Close()
	say := func(script string) error {
		command := exec.Command("/bin/sh", "-c", script)
		command.Stdout, command.Stderr = words, words
		return command.Run()
	}
	require.Equal(t, "nothing", LastWords(words))
	require.NoError(t, say("echo out; echo error >&2"))
	require.Equal(t, "out\nerror", LastWords(words))
	require.Error(t, say("yes more and"), "it says more than is kept")
	info, err := words.Stat()
	require.NoError(t, err)
	require.EqualValues(t, wordsBytes, info.Size())
	require.Contains(t, LastWords(words), "more and\nmore and")
	require.Error(t, words.Truncate(0), "who writes to it could change its size")
}
