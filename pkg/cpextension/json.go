package cpextension

import (
	"encoding/json"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/exactjson"
)

// DecodeJSON reads a request's body, a JSON object, into a struct. A body that is
// empty is an empty object; a field that the struct does not have is refused. Errors
// are faults for ServerContext.Fail.
func DecodeJSON(r *http.Request, into any) error {
	body, err := exactjson.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return exactjson.DecodeKnown(body, into)
}

// AnswerJSON answers a request with a value as JSON.
func AnswerJSON(w http.ResponseWriter, status int, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n')) // the client may have left
	return nil
}

// Handle turns a handler that may fail into one whose errors are answered by Fail.
func (c *ServerContext) Handle(handler func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handler(w, r); err != nil {
			c.Fail(w, r, err)
		}
	}
}
