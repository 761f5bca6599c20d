package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestCodeOf_FindsTheFaultInAChain(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial failed")
	wrapped := fmt.Errorf("create: %w", fault.Wrap(fault.Unavailable, cause, "host %d is away", 1))
	require.Equal(t, fault.Unavailable, fault.CodeOf(wrapped))
	require.True(t, fault.Is(wrapped, fault.Unavailable))
	require.ErrorIs(t, wrapped, cause)
	require.Equal(t, "create: host 1 is away: dial failed", wrapped.Error())
	require.Equal(t, fault.Internal, fault.CodeOf(cause))
	require.Empty(t, fault.CodeOf(nil))
}

func ExampleNew() {
	err := fault.New(fault.NotFound, "sandbox %q was not found", "ix")
	fmt.Println(err.Code, "-", err)
	// Output: not_found - sandbox "ix" was not found
}
