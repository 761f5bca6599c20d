package access

import (
	"net/http"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// nouns are the collections in paths whose singular is not theirs without an "s".
var nouns = map[string]string{
	"sandboxes": "sandbox", "deliveries": "delivery", "aliases": "alias",
	"api-keys": "key", "nodes": "host",
	"openapi.json": "doc", "openapi.yaml": "doc",
	"openid-configuration": "issuer", "jwks.json": "issuer_key",
	"refreshes": "", // what is done to a sandbox
}

// aspects are collections that behind a thing are a part of it: what is done to
// them is done to the thing.
var aspects = map[string]bool{"tokens": true}

// methodVerbs are what is done where a path ends in a thing.
var methodVerbs = map[string]string{
	http.MethodGet: "read", http.MethodPost: "create", http.MethodPut: "update",
	http.MethodPatch: "update", http.MethodDelete: "delete",
}

// actionOf names what a route does, such as "sandbox.pause" for POST
// /sandboxes/{sandboxID}/pause, and what it does it to.
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

// extensionAction names what a route of an extension does, such as
// "billing.credit_create" for POST /extensions/billing/credits.
func extensionAction(method, path string, param func(string) string) (string, audit.Resource) {
	name, rest, _ := strings.Cut(path, "/")
	action, resource := actionOf(method, strings.TrimSuffix(rest, "/*"), param)
	return name + "." + strings.Trim(strings.ReplaceAll(action, ".", "_"), "_"), resource
}

// nounOf is the singular of a collection, "" for what is none.
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
