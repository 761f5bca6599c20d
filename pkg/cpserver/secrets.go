package cpserver

import (
	"context"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

// buildSecrets makes the keeper of teams' secrets, and what brings their changes
// to sandboxes.
func (s *server) buildSecrets(context.Context) error {
	if err := river.AddWorkerSafely(s.workers, &secrets.Worker{Sandboxes: s.sandboxes}); err != nil {
		return err
	}
	secrets := secrets.New(s.pool, s.keyring, s.jobs, s.log)
	s.sandboxes.Secrets, s.api.Secrets = secrets, secrets
	return nil
}
