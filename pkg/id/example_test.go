package id_test

import (
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// A sandbox ID is a DNS label, a directory and a process name at once, so whatever
// comes from outside is checked before it is used as one.
func ExampleIsSandbox() {
	made := id.NewSandbox()
	fmt.Println(len(made), id.IsSandbox(made))
	fmt.Println(id.IsSandbox("../../etc/passwd"))
	// Output:
	// 20 true
	// false
}
