package builds

import "time"

// Impatient makes the service wait for little.
func (s *Service) Impatient() *Service {
	s.patience = patience{hostAway: 300 * time.Millisecond, room: 300 * time.Millisecond, retry: 5 * time.Millisecond, look: 10 * time.Millisecond}
	return s
}
