package api

import (
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Rules are what the tests hold the routes to.
var Rules = rules

// E2BRoutes are the routes with a body that E2B's clients know.
var E2BRoutes = e2bRoutes

// Unlimited lifts the limits of public routes.
func (s *Server) Unlimited() {
	s.publicLimits.once.Do(func() {})
	s.publicLimits.people = auth.NewLimiter(1<<30, time.Nanosecond)
	s.publicLimits.hosts, s.publicLimits.documents = s.publicLimits.people, s.publicLimits.people
}
