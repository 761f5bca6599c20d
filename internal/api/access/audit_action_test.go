package access

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// named stands for a value in a path.
func named(name string) string { return "the-" + name }

func TestActionOf_NamesWhatARouteDoes(t *testing.T) {
	t.Parallel()
	for route, want := range map[string]struct {
		action   string
		resource audit.Resource
	}{
		"POST /sandboxes":                                              {"sandbox.create", audit.Resource{Kind: "sandbox"}},
		"POST /v2/sandboxes":                                           {"sandbox.create", audit.Resource{Kind: "sandbox"}},
		"DELETE /sandboxes/{sandboxID}":                                {"sandbox.delete", audit.Resource{Kind: "sandbox", ID: "the-sandboxID"}},
		"POST /sandboxes/{sandboxID}/pause":                            {"sandbox.pause", audit.Resource{Kind: "sandbox", ID: "the-sandboxID"}},
		"POST /sandboxes/{sandboxID}/refreshes":                        {"sandbox.refreshes", audit.Resource{Kind: "sandbox", ID: "the-sandboxID"}},
		"POST /sandboxes/{sandboxID}/snapshots":                        {"snapshot.create", audit.Resource{Kind: "snapshot"}},
		"PATCH /v2/templates/{templateID}":                             {"template.update", audit.Resource{Kind: "template", ID: "the-templateID"}},
		"POST /templates/{templateID}":                                 {"template.update", audit.Resource{Kind: "template", ID: "the-templateID"}},
		"DELETE /api-keys/{apiKeyID}":                                  {"key.delete", audit.Resource{Kind: "key", ID: "the-apiKeyID"}},
		"POST /admin/teams/{teamID}/api-keys":                          {"key.create", audit.Resource{Kind: "key"}},
		"POST /admin/teams/{teamID}/sandboxes/kill":                    {"sandbox.kill", audit.Resource{Kind: "sandbox"}},
		"DELETE /teams/{teamID}/members/{userID}":                      {"member.delete", audit.Resource{Kind: "member", ID: "the-userID"}},
		"POST /sandboxes/{sandboxID}/tokens/rotate":                    {"sandbox.tokens_rotate", audit.Resource{Kind: "sandbox", ID: "the-sandboxID"}},
		"POST /teams/{teamID}/tokens/rotate":                           {"team.tokens_rotate", audit.Resource{Kind: "team", ID: "the-teamID"}},
		"POST /hosts/tokens":                                           {"token.create", audit.Resource{Kind: "token"}},
		"POST /channels/{channelID}/test":                              {"channel.test", audit.Resource{Kind: "channel", ID: "the-channelID"}},
		"POST /channels/{channelID}/deliveries/{deliveryID}/redeliver": {"delivery.redeliver", audit.Resource{Kind: "delivery", ID: "the-deliveryID"}},
		"POST /auth/login":                                             {"auth.login", audit.Resource{Kind: "auth"}},
		"POST /auth/password/reset":                                    {"auth.password_reset", audit.Resource{Kind: "auth"}},
		"POST /auth/first-admin":                                       {"auth.first_admin", audit.Resource{Kind: "auth"}},
		"POST /extensions/billing/credits":                             {"billing.credit_create", audit.Resource{Kind: "credit"}},
		"DELETE /extensions/billing/credits/{creditID}":                {"billing.credit_delete", audit.Resource{Kind: "credit", ID: "the-creditID"}},
		"POST /extensions/billing/":                                    {"billing.create", audit.Resource{}},
		"POST /extensions/billing/overview/*":                          {"billing.overview_create", audit.Resource{Kind: "overview"}},
		"POST /nodes/{nodeID}":                                         {"host.update", audit.Resource{Kind: "host", ID: "the-nodeID"}},
	} {
		method, pattern, _ := strings.Cut(route, " ")
		action, resource := actionOf(method, pattern, named)
		require.Equal(t, want.action, action, route)
		require.Equal(t, want.resource, resource, route)
	}
}

func TestActionOf_NamesEveryRoute(t *testing.T) {
	t.Parallel()
	for route := range Rules {
		method, pattern, _ := strings.Cut(route, " ")
		action, _ := actionOf(method, pattern, named)
		require.Regexp(t, `^[a-z_]+\.[a-z_]+$`, action, route)
	}
}
