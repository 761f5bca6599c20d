package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
)

// unmountTimeout bounds the end of a step's secrets.
const unmountTimeout = 30 * time.Second

// mountedSecrets are those of one step.
type mountedSecrets struct {
	// values are replaced in the step's output.
	values [][]byte
	// variables are for the step's command.
	variables map[string]string
	paths     []string
}

// mountSecrets makes a step's secrets readable. Those that were not given and are not
// required are left out.
func (s *stage) mountSecrets(ctx context.Context, run plan.Run, user string) (mounted mountedSecrets, err error) {
	mounted.variables = make(map[string]string)
	for _, mount := range run.Secrets {
		value, given := s.request.Secrets[mount.ID]
		if !given {
			continue
		}
		mounted.values = append(mounted.values, value)
		if mount.Variable != "" {
			if bytes.ContainsRune(value, 0) {
				return mounted, &Failure{Cause: CauseInvalidStep, Message: fmt.Sprintf("Secret %s has a NUL byte and cannot be a variable: mount it as a file", mount.ID)}
			}
			mounted.variables[mount.Variable] = string(value)
			continue
		}
		path := mount.Path
		if path == "" {
			path = "/run/secrets/" + mount.ID
		}
		_, err := s.machine.Do(ctx, machine.Request{MountSecret: &machine.MountSecret{Path: path, Owner: user}}, bytes.NewReader(value), nil)
		if err != nil {
			return mounted, errors.Join(err, s.unmountSecrets(ctx, mounted))
		}
		mounted.paths = append(mounted.paths, path)
	}
	return mounted, nil
}

// unmountSecrets ends what mountSecrets did, also when the step's time is over. The VM of a
// step that failed is not used again.
func (s *stage) unmountSecrets(ctx context.Context, mounted mountedSecrets) error {
	if len(mounted.paths) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmountTimeout)
	defer cancel()
	_, err := s.machine.Do(ctx, machine.Request{UnmountSecrets: &machine.UnmountSecrets{Paths: mounted.paths}}, nil, nil)
	return err
}
