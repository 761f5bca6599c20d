package servicetest

import (
	"context"
	"sync"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Hold makes the host stop before it does an operation, until release is called.
func (f *Fixture) Hold(operation string) (entered <-chan struct{}, release func()) {
	began, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.Agent.Before(func(_ context.Context, asked, _ string) error {
		if asked == operation {
			once.Do(func() { close(began) })
			<-released
		}
		return nil
	})
	return began, func() { close(released); f.Agent.Before(nil) }
}

// Together runs an operation in many goroutines at once and counts what the
// service answered to each.
func Together(operation func() error) map[fault.Code]int {
	const many = 8
	answers := map[fault.Code]int{}
	var mutex sync.Mutex
	var running sync.WaitGroup
	for range many {
		running.Go(func() {
			code := fault.CodeOf(operation())
			mutex.Lock()
			defer mutex.Unlock()
			answers[code]++
		})
	}
	running.Wait()
	return answers
}
