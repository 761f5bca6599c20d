// Program document prints the OpenAPI document of the control API, from which the
// dashboard's types are generated.
package main

import (
	"fmt"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
)

func main() {
	document, err := openapi.Load()
	if err == nil {
		_, err = os.Stdout.Write(document.JSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "print the OpenAPI document:", err)
		os.Exit(1)
	}
}
