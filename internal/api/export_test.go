package api

// Rules are what the tests hold the routes to.
var Rules = rules
