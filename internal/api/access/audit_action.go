package access

import (
	"net/http"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// nouns are the singulars of collections in paths that do not follow the rule of nounOf.
var nouns = map[string]string{
	"sandboxes": "sandbox", "deliveries": "delivery", "aliases": "alias",
	"api-keys": "key", "nodes": "host",
	"openapi.json": "doc", "openapi.yaml": "doc",
	"openid-configuration": "issuer", "jwks.json": "issuer_key",
	"refreshes": "", // a verb: it extends the time to live of a sandbox
}

// aspects are collections that are a part of the resource before them in a path: the
// action is on that resource.
var aspects = map[string]bool{"tokens": true}

// methodVerbs are the verbs of paths that end in a resource.
var methodVerbs = map[string]string{
	http.MethodGet: "read", http.MethodPost: "create", http.MethodPut: "update",
	http.MethodPatch: "update", http.MethodDelete: "delete",
}

// actionOf returns the action of a route, such as "sandbox.pause" for POST
// /sandboxes/{sandboxID}/pause, and the resource that it is on.
func actionOf(method, pattern string, param func(string) string) (string, audit.Resource) {
	if path, of := strings.CutPrefix(pattern, extension.Prefix); of {
		return extensionAction(method, path, param)
	}
	var kind, id string
	var verbs []string
	named := false
	for segment := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		switch noun := nounOf(segment); {
		case strings.HasPrefix(segment, "{"):
			if id == "" && len(verbs) == 0 {
				id, named = param(strings.Trim(segment, "{}")), true
			}
		case isVersion(segment) || segment == "admin":
		case noun != "" && !(named && aspects[segment]):
			kind, id, verbs, named = noun, "", nil, false
		case kind == "":
			kind = strings.ReplaceAll(segment, "-", "_")
		default:
			verbs = append(verbs, strings.ReplaceAll(segment, "-", "_"))
		}
	}
	verb := strings.Join(verbs, "_")
	if verb == "" {
		verb = methodVerbs[method]
		if named && method == http.MethodPost {
			verb = "update"
		}
	}
	return kind + "." + verb, audit.Resource{Kind: kind, ID: id}
}

// extensionAction returns the action of an extension's route, such as
// "billing.credit_create" for POST /extensions/billing/credits.
func extensionAction(method, path string, param func(string) string) (string, audit.Resource) {
	name, rest, _ := strings.Cut(path, "/")
	action, resource := actionOf(method, strings.TrimSuffix(rest, "/*"), param)
	return name + "." + strings.Trim(strings.ReplaceAll(action, ".", "_"), "_"), resource
}

// nounOf returns the singular of a collection, or "" if a segment is not a collection.
func nounOf(segment string) string {
	if noun, known := nouns[segment]; known {
		return noun
	}
	if singular, found := strings.CutSuffix(segment, "s"); found {
		return strings.ReplaceAll(singular, "-", "_")
	}
	return ""
}

func isVersion(segment string) bool {
	return len(segment) == 2 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9'
}
