package config_test

import (
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// The environment is one source of settings; a program can have others. The error
// names all that is wrong.
func ExampleRead() {
	environment := map[string]string{
		"DATABASE_URL": "postgres://localhost/wrenn", "WRENN_SECRET_KEY_FILE": "/etc/wrenn/secret",
		"WRENN_LISTEN": "0.0.0.0:8080", "WRENN_MAX_TIMEOUT": "2h",
	}
	read, err := config.Read(settings.From("example", environment))
	fmt.Println(read.Domain, read.MaxTimeout, err)

	environment["WRENN_MAX_TIMEOUT"] = "soon"
	delete(environment, "DATABASE_URL")
	_, err = config.Read(settings.From("example", environment))
	fmt.Println(err)
	// Output:
	// localhost:8080 2h0m0s <nil>
	// DATABASE_URL is not set
	// WRENN_MAX_TIMEOUT must be a positive duration, such as 24h
}
