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
	_ = json.NewEncoder(w).Encode(value) // fails only if the client has disconnected
}

// Value answers with a value as JSON if err is nil, and returns err.
func Value(w http.ResponseWriter, status int, value any, err error) error {
	if err != nil {
		return err
	}
	JSON(w, status, value)
	return nil
}

// NoContent answers with status 204 if err is nil, and returns err.
func NoContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
