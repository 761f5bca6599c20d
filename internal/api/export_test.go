package api

// Rules are what the tests hold the routes to.
var Rules = rules

// E2BRoutes are the routes with a body that E2B's clients know.
var E2BRoutes = e2bRoutes
