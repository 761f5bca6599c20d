package lifecycle_test

import (
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

func ExampleState_CanBecome() {
	fmt.Println(lifecycle.Running.CanBecome(lifecycle.Pausing))
	fmt.Println(lifecycle.Killed.CanBecome(lifecycle.Running))
	fmt.Println(lifecycle.From(lifecycle.Resuming))
	// Output:
	// true
	// false
	// [paused]
}
