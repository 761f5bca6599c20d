package sandboxes

import "time"

// Waiting is how many operations wait for others on their sandbox.
func (s *Service) Waiting() int64 { return s.waiting.Load() }

// SetPatience bounds how long they do.
func (s *Service) SetPatience(patience time.Duration) { s.patience = patience }

// SetClaimant replaces the claimant.
func (s *Service) SetClaimant(claimant Claimant) { s.claimant = claimant }

// SetGuard replaces the guard.
func (s *Service) SetGuard(guard Guard) { s.guard = guard }

// SetSizePatience bounds how long creates wait for the first snapshot of a size.
func (s *Service) SetSizePatience(patience time.Duration) { s.sizePatience = patience }
