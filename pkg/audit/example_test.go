package audit_test

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// A handler adds to the entry of its request.
func ExampleSetResource() {
	handler := func(ctx context.Context) {
		audit.SetResource(ctx, "invoice-7")
		audit.SetDetails(ctx, map[string]int{"credits": 10})
	}

	ctx, draft := audit.WithDraft(context.Background()) // as the server does
	handler(ctx)
	entry, _ := draft.Entry()
	fmt.Println(entry.Resource.ID, string(entry.Details))
	// Output: invoice-7 {"credits":10}
}
