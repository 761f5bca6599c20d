package cpserver

import (
	"context"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

// buildSecrets makes the keeper of teams' secrets, and what brings their changes
// to sandboxes.
func (s *server) buildSecrets(context.Context) error {
	if err := river.AddWorkerSafely(s.workers, &service.SecretWorker{Sandboxes: s.sandboxes}); err != nil {
		return err
	}
	secrets := &service.Secrets{Pool: s.pool, Keyring: s.keyring, Queue: s.jobs, Log: s.log}
	s.sandboxes.Secrets, s.api.Secrets = secrets, secrets
	s.background(s.resealSecrets)
	return nil
}

// resealSecrets makes older keys superfluous for secrets.
func (s *server) resealSecrets(ctx context.Context) {
	count, err := s.keyring.Rotate(ctx, service.SealedSecrets{Queries: s.queries})
	if err != nil && ctx.Err() == nil {
		s.log.Error("seal secrets with the newest key", "error", err)
	} else if count > 0 {
		s.log.Info("sealed secrets with the newest key", "count", count)
	}
}
