package extension

import (
	"context"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// wrapper is the form of cpextension.BeforeAuth.BeforeAuth and of
// cpextension.AfterAuth.AfterAuth.
type wrapper = func(next http.Handler) http.Handler

func (i *instance) beforeAuth() []wrapper {
	if before, has := i.extension.(cpextension.BeforeAuth); has {
		return []wrapper{before.BeforeAuth}
	}
	return nil
}

func (i *instance) afterAuth() []wrapper {
	if after, has := i.extension.(cpextension.AfterAuth); has {
		return []wrapper{after.AfterAuth}
	}
	return nil
}

// BeforeAuth returns the middlewares for every request.
func (s *Set) BeforeAuth() []func(http.Handler) http.Handler {
	var all []wrapper
	for _, i := range s.instances {
		for _, build := range i.beforeAuth() {
			all = append(all, i.wrap(build))
		}
	}
	return all
}

// AfterAuth returns the middlewares for authorized requests.
func (s *Set) AfterAuth() []func(http.Handler) http.Handler {
	var all []wrapper
	for _, i := range s.instances {
		for _, build := range i.afterAuth() {
			all = append(all, i.wrap(build))
		}
	}
	return all
}

// wrap answers requests in which the middleware panics. While the extension does not
// run, requests bypass the middleware, or are refused if the extension is guarding.
func (i *instance) wrap(build wrapper) wrapper {
	return func(next http.Handler) http.Handler {
		without := next
		if i.guarding {
			without = http.HandlerFunc(i.refuse)
		}
		var with http.Handler
		err := protect(func() error {
			with = i.recoverPanics(build(next))
			return nil
		})
		if err != nil {
			i.become(Failed)
			i.report(context.Background(), "make a middleware", err)
			return without
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i.is(Running) {
				with.ServeHTTP(w, r)
			} else {
				without.ServeHTTP(w, r)
			}
		})
	}
}

// refuse answers a request that needs the extension while it does not run.
func (i *instance) refuse(w http.ResponseWriter, r *http.Request) {
	i.fail(w, r, fault.New(fault.Unavailable, "the extension %s is not running", i.name))
}
