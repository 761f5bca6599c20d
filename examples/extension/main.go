// Command wrenn is an edition of Wrenn for a company that bills its teams and signs in
// by SAML. It has all commands of wrenn; "wrenn up" starts it on one machine.
package main

import (
	"example.com/edition/billing"
	"example.com/edition/sso"

	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/wrenn"
)

func main() { wrenn.Main(edition()...) }

// edition is what the company adds to the control plane.
func edition() []cpserver.Option {
	company := &sso.Provider{}
	return []cpserver.Option{
		cpserver.WithExtensions(&billing.Extension{}, company),
		cpserver.WithIdentityProvider(company),
	}
}
