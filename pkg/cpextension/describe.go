package cpextension

// Describer is an extension that describes its routes in the API's OpenAPI document
// and documentation. All routes of extensions are in both; without a description there
// is little more than their path and who may call them.
type Describer interface {
	// Describe returns descriptions by method and path as the route was added, such as
	// "GET /balance". The extension does not start where there is no such route.
	Describe() map[string]Description
}

// Description describes a route.
type Description struct {
	// Summary is a few words, and Text as much as is needed.
	Summary, Text string
	// Request and Answer are values of the Go types of the bodies in JSON; nil is no
	// body. Only their types count.
	Request, Answer any
	// Status is that of a success. Zero is 200, or 204 where there is no Answer.
	Status int
}
