package scheduler_test

import (
	"testing"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler/schedulertest"
)

func TestSpread_KeepsTheContract(t *testing.T) {
	t.Parallel()
	schedulertest.Run(t, func() scheduler.Scheduler { return newSpread(1) })
}
