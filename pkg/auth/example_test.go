package auth_test

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Only the hash of a key is stored, and a mask to recognise it by.
func ExampleMaskKey() {
	const key = auth.KeyPrefix + "0123456789abcdef0123456789abcdef01234567"
	mask := auth.MaskKey(key)
	fmt.Printf("%s%s…%s, stored as %.4x…\n", mask.Prefix, mask.MaskedStart, mask.MaskedEnd, auth.HashKey(key))
	// Output: e2b_01…4567, stored as 285c79b2…
}

// A handler reads the principal from the request's context.
func ExamplePrincipalOf() {
	viewer := auth.Principal{Kind: auth.BySession, Email: "ada@example.com", Role: auth.Viewer}
	ctx := auth.WithPrincipal(context.Background(), viewer) // as the server does

	principal := auth.PrincipalOf(ctx)
	fmt.Println(principal.Email, principal.May(auth.SandboxRead), principal.May(auth.SandboxWrite))
	// Output: ada@example.com true false
}
