package qemu

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCounterKHz_MeasuresTheSameTwice(t *testing.T) {
	first, second := CounterKHz(), CounterKHz()
	require.Positive(t, first)
	require.InEpsilon(t, first, second, 0.01)
}
