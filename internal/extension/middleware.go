package extension

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
)

// layer is a middleware.
type layer = func(next http.Handler) http.Handler

func middlewaresOf(i *instance) []layer {
	var all []layer
	if before, sees := i.extension.(cpextension.BeforeAuth); sees {
		all = append(all, before.BeforeAuth)
	}
	if after, sees := i.extension.(cpextension.AfterAuth); sees {
		all = append(all, after.AfterAuth)
	}
	return all
}

// BeforeAuth are the middlewares for every request.
func (s *Set) BeforeAuth() []func(http.Handler) http.Handler {
	var all []layer
	for _, i := range s.instances {
		if before, sees := i.extension.(cpextension.BeforeAuth); sees {
			all = append(all, i.wrap(before.BeforeAuth))
		}
	}
	return all
}

// AfterAuth are the middlewares for requests that were let in.
func (s *Set) AfterAuth() []func(http.Handler) http.Handler {
	var all []layer
	for _, i := range s.instances {
		if after, sees := i.extension.(cpextension.AfterAuth); sees {
			all = append(all, i.wrap(after.AfterAuth))
		}
	}
	return all
}

// wrap leaves a middleware out whose extension does not run, and answers for it
// where it panics.
func (i *instance) wrap(made layer) layer {
	return func(next http.Handler) http.Handler {
		var wrapped http.Handler
		err := protect(func() error {
			wrapped = i.guard(made(next))
			return nil
		})
		if err != nil {
			i.become(Failed)
			i.report("make a middleware", err)
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i.is(Running) {
				wrapped.ServeHTTP(w, r)
			} else {
				next.ServeHTTP(w, r)
			}
		})
	}
}
