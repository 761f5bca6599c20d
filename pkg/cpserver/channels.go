package cpserver

import (
	"context"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
)

// buildChannels makes what tells teams of their events.
func (s *server) buildChannels(context.Context) error {
	worker := channels.NewWorker(s.queries, s.keyring, s.mailer, s.config.ChannelNetworks, s.log)
	if err := river.AddWorkerSafely(s.workers, worker); err != nil {
		return err
	}
	s.channels = &channels.Service{Pool: s.pool, Queries: s.queries, Keyring: s.keyring, Queue: s.jobs}
	s.api.Channels = s.channels
	dispatcher := &channels.Dispatcher{Pool: s.pool, Bus: s.events, Queue: s.jobs, Log: s.log}
	s.parts.Background("tell channels of events", dispatcher.Run)
	return nil
}
