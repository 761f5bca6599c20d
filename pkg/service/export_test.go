package service

import "time"

// Waiting is how many operations wait for others on their sandbox.
func (s *Sandboxes) Waiting() int64 { return s.waiting.Load() }

// SetPatience bounds how long they do.
func (s *Sandboxes) SetPatience(patience time.Duration) { s.patience = patience }
