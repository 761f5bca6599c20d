package sandboxes

import (
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// checkTokens refuses a network that refers to identity tokens which its sandbox does
// not have.
func checkTokens(network sandbox.Network, tokens workload.Tokens) error {
	names, err := network.References()
	if err != nil {
		return fault.New(fault.Invalid, "network.rules: %s", err)
	}
	for _, name := range names.Tokens {
		if _, has := tokens[name]; !has {
			return fault.New(fault.Invalid, "network.rules: the sandbox has no identity token %q: iam.tokens of its create names those it has", name)
		}
	}
	return nil
}
