package qemu

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCounterKHz_MeasuresTheSameTwice(t *testing.T) {
	first, second := counterKHz(), counterKHz()
	require.Positive(t, first)
	require.InEpsilon(t, first, second, 0.01)
}
