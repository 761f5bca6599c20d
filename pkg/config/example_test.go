package config_test

import (
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
)

// The environment is passed in, so that a program can have other sources. What is
// wrong is told all at once.
func ExampleFromEnvironment() {
	environment := map[string]string{
		"DATABASE_URL": "postgres://localhost/wrenn", "WRENN_SECRET_KEY_FILE": "/etc/wrenn/secret",
		"WRENN_LISTEN": "0.0.0.0:8080", "WRENN_MAX_TIMEOUT": "2h",
	}
	getenv := func(name string) string { return environment[name] }
	settings, err := config.FromEnvironment(getenv)
	fmt.Println(settings.Domain, settings.MaxTimeout, err)

	environment["WRENN_MAX_TIMEOUT"] = "soon"
	delete(environment, "DATABASE_URL")
	_, err = config.FromEnvironment(getenv)
	fmt.Println(err)
	// Output:
	// localhost:8080 2h0m0s <nil>
	// DATABASE_URL is not set
	// WRENN_MAX_TIMEOUT must be a positive duration, such as 24h
}
