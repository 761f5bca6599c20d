package contexts

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Environment tells the variables that every process of the sandbox gets.
type Environment interface {
	Variables(ctx context.Context) (map[string]string, error)
}

// GuestAgent asks the guest agent for the sandbox's variables, which it tells programs in
// the guest. A fork, for example, has another sandbox ID than what it was forked from.
type GuestAgent struct{ URL string }

const (
	// agentTimeout is short: code must not wait for variables that it hardly needs.
	agentTimeout     = 2 * time.Second
	largestVariables = 1 << 20
)

// Variables asks for the variables.
func (g GuestAgent) Variables(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/envs", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the sandbox's variables: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for the sandbox's variables: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for the sandbox's variables: %s", response.Status)
	}
	var variables map[string]string
	if err := json.NewDecoder(io.LimitReader(response.Body, largestVariables)).Decode(&variables); err != nil {
		return nil, fmt.Errorf("ask for the sandbox's variables: %w", err)
	}
	maps.DeleteFunc(variables, func(name, value string) bool { return !usable(name, value) })
	return variables, nil
}

// NoEnvironment has no variables.
type NoEnvironment struct{}

// Variables returns none.
func (NoEnvironment) Variables(context.Context) (map[string]string, error) { return nil, nil }

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// usable tells variables that every language can set.
func usable(name, value string) bool {
	return variableName.MatchString(name) && !strings.ContainsRune(value, 0)
}

// CheckVariables checks the variables of a run.
func CheckVariables(variables map[string]string) error {
	for name, value := range variables {
		if !usable(name, value) {
			return &BadRequestError{fmt.Sprintf("env_vars: %q is no variable: a name has letters, digits and _, and a value no NUL", name)}
		}
	}
	return nil
}
