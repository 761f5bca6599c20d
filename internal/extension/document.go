package extension

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/openapi"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
)

// ruleProbe is a handler by which the rule of a route is found: the middleware that
// checks the rule notes it when it wraps a probe.
type ruleProbe struct {
	http.Handler
	rule auth.Rule
}

// noting returns a middleware that does nothing but note its rule in a probe.
func noting(rule auth.Rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if probe, is := next.(*ruleProbe); is {
			probe.rule = rule
		}
		return next
	}
}

func ruleOf(middlewares []func(http.Handler) http.Handler) auth.Rule {
	probe := &ruleProbe{Handler: http.NotFoundHandler()}
	for _, wrap := range middlewares {
		wrap(probe)
	}
	return probe.rule
}

// describe makes the descriptions of the extension's routes for the API's document.
// Pages are not described: they are for people.
func (i *instance) describe() error {
	descriptions := map[string]cpextension.Description{}
	if describer, has := i.extension.(cpextension.Describer); has {
		descriptions = describer.Describe()
	}
	described := map[string]bool{}
	err := chi.Walk(i.router, func(method, pattern string, _ http.Handler, middlewares ...func(http.Handler) http.Handler) error {
		if i.isPage(pattern) {
			return nil
		}
		key := method + " " + pattern
		described[key] = true
		i.operations = append(i.operations, operationOf(i.name, method, pattern, ruleOf(middlewares), descriptions[key]))
		return nil
	})
	if err != nil {
		return err
	}
	for key := range descriptions {
		if !described[key] {
			return fmt.Errorf("describe route %q: there is no such route", key)
		}
	}
	return nil
}

func (i *instance) isPage(pattern string) bool {
	whole := strings.TrimSuffix(Prefix+i.name+pattern, "/*")
	return slices.ContainsFunc(i.pages, func(page Page) bool { return page.Path == whole })
}

func operationOf(name, method, pattern string, rule auth.Rule, described cpextension.Description) openapi.Added {
	operation := openapi.Added{
		Method: method, Path: Prefix + name + pattern, Summary: described.Summary, Description: described.Text,
		Security: securityOf(rule, method), Permission: string(rule.Permission()),
		Request: described.Request, Answer: described.Answer, Status: described.Status,
	}
	if operation.Summary == "" {
		operation.Summary = method + " " + pattern
	}
	switch {
	case operation.Status != 0:
	case operation.Answer != nil || described.Summary == "":
		operation.Status = http.StatusOK
	default:
		operation.Status = http.StatusNoContent
	}
	return operation
}

// securityOf lists the credentials that a rule accepts, in the document's names.
func securityOf(rule auth.Rule, method string) []map[string][]string {
	security := []map[string][]string{}
	for _, scheme := range []struct {
		kind auth.Kind
		name string
	}{
		{auth.ByKey, "apiKey"}, {auth.ByAccessToken, "accessToken"}, {auth.ByAdminToken, "adminToken"}, {auth.BySession, "session"},
	} {
		if !rule.Accepts(scheme.kind) {
			continue
		}
		way := map[string][]string{scheme.name: {}}
		if scheme.kind == auth.BySession && method != http.MethodGet && method != http.MethodHead {
			way["csrfToken"] = []string{}
		}
		security = append(security, way)
	}
	return security
}

// Operations returns the routes of the extensions that run, for the API's document.
func (s *Set) Operations() []openapi.Group {
	var groups []openapi.Group
	for _, i := range s.instances {
		if i.is(Running) && len(i.operations) > 0 {
			groups = append(groups, openapi.Group{
				Name: "Extension " + i.name, Description: "What the extension " + i.name + " adds.", Operations: i.operations,
			})
		}
	}
	return groups
}
