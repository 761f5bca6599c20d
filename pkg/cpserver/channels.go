package cpserver

import (
	"context"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
)

// buildChannels builds the delivery of events.
func (s *server) buildChannels(context.Context) error {
	worker := channels.NewWorker(s.pool, s.keyring, s.mailer, s.config.ChannelNetworks, s.log)
	if err := river.AddWorkerSafely(s.workers, worker); err != nil {
		return err
	}
	s.channels = channels.New(s.pool, s.keyring, s.jobs)
	s.api.Channels = s.channels
	dispatcher := channels.NewDispatcher(s.pool, s.events, s.jobs, s.log)
	s.parts.Background("tell channels of events", dispatcher.Run)
	return nil
}
