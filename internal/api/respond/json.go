// Package respond writes the answers of the control API: JSON, refusals with their
// status and error code, and the headers of rate limits.
package respond

import (
	"encoding/json"
	"net/http"
)

// JSON answers with a value as JSON.
func JSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that left is no concern here
}

// Value answers with a value as JSON, unless err is set, which it returns.
func Value(w http.ResponseWriter, status int, value any, err error) error {
	if err != nil {
		return err
	}
	JSON(w, status, value)
	return nil
}

// NoContent answers with status 204, unless err is set, which it returns.
func NoContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
