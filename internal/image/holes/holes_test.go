package holes

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSplit_CoversAContentWithoutLosingAByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := make([]byte, rapid.IntRange(0, 10*Bytes+100).Draw(t, "size"))
		for _, at := range rapid.SliceOfN(rapid.IntRange(0, 10*Bytes+99), 0, 6).Draw(t, "data") {
			if at < len(content) {
				content[at] = 1
			}
		}
		kept := make([]byte, len(content))
		for at := 0; at < len(content); {
			zeros, data := Split(content[at:])
			require.Positive(t, zeros+data)
			copy(kept[at+zeros:], content[at+zeros:][:data])
			at += zeros + data
		}
		require.True(t, bytes.Equal(content, kept))
	})
}

func TestSplit_MakesHolesOfWholePieces(t *testing.T) {
	content := make([]byte, 3*Bytes)
	content[Bytes+1] = 1
	zeros, data := Split(content)
	require.Equal(t, []int{Bytes, Bytes}, []int{zeros, data})
	zeros, data = Split(content[2*Bytes:])
	require.Equal(t, []int{Bytes, 0}, []int{zeros, data})
}
