// Package migrations holds the database schema, one numbered file a step.
package migrations

import "embed"

// Files are the goose migrations.
//
//go:embed *.sql
var Files embed.FS
