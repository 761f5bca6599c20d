package gvisor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllStopped_NeedsEveryProcessToStandStill(t *testing.T) {
	t.Parallel()
	const (
		other   = "goroutine 1 [select]:\nmain.main()\n"
		runs    = "goroutine 7 [chan receive]:\ngvisor.dev/gvisor/pkg/sentry/kernel.(*Task).block(0x1)\ngvisor.dev/gvisor/pkg/sentry/kernel.(*Task).run(0x1)\n"
		stopped = "goroutine 8 [sync.Cond.Wait]:\ngvisor.dev/gvisor/pkg/sentry/kernel.(*Task).doStop(0x1)\ngvisor.dev/gvisor/pkg/sentry/kernel.(*Task).run(0x1)\n"
	)
	require.True(t, allStopped(other+"\n"+stopped+"\n"+stopped))
	require.False(t, allStopped(other+"\n"+stopped+"\n"+runs))
	require.False(t, allStopped(other), "it is not known")
}
