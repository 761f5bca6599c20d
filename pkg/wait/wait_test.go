package wait_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

func TestFor(t *testing.T) {
	t.Parallel()
	t.Run("waits for the whole time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			require.True(t, wait.For(t.Context(), time.Hour))
			require.Equal(t, time.Hour, time.Since(began))
		})
	})
	t.Run("returns when the context ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			require.False(t, wait.For(ctx, time.Hour))
			require.Equal(t, time.Minute, time.Since(began))
		})
	})
}
