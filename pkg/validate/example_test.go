package validate_test

import (
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

func ExampleTimeout() {
	timeout, err := validate.Timeout("timeout", 90, time.Hour)
	fmt.Println(timeout, err)
	_, err = validate.Timeout("timeout", 7200, time.Hour)
	fmt.Println(fault.CodeOf(err), "-", err)
	// Output:
	// 1m30s <nil>
	// invalid - timeout must be at most 3600 seconds
}

func ExampleEnvironment() {
	fmt.Println(validate.Environment(map[string]string{"PATH": "/bin"}))
	fmt.Println(validate.Environment(map[string]string{"A=B": "c"}))
	// Output:
	// <nil>
	// envVars has the invalid name "A=B"
}
