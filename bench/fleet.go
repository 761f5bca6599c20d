package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

const (
	forksAtOnce = 10
	// createsAtOnce is how many clients create sandboxes at the same time.
	createsAtOnce = 4
)

// measureForks forks a sandbox that has run a command, in turns with a create: the
// machine may be slower than it was for the creates that were measured before.
func measureForks(ctx context.Context, wrenn *installation.Installation, rounds int, into *measurements) (err error) {
	s, err := createSandbox(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	if err := firstCommand(ctx, s.agent()); err != nil {
		return err
	}
	for round := range rounds {
		sides := []func() error{
			func() error { return measureCreate(ctx, wrenn, &into.forkCreates) },
			func() error { return measureFork(ctx, s, into) },
		}
		if round%2 == 1 {
			slices.Reverse(sides) // as in measureTurns
		}
		for _, measureSide := range sides {
			if err := measureSide(); err != nil {
				return err
			}
		}
	}
	return nil
}

func measureFork(ctx context.Context, parent *sandbox, into *measurements) (err error) {
	var made []struct {
		Sandbox *sandbox `json:"sandbox"`
		Error   *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	began := time.Now()
	body := fmt.Sprintf(`{"count":%d,"timeout":600}`, forksAtOnce)
	if err := parent.call(ctx, http.MethodPost, "/sandboxes/"+parent.ID+"/fork", body, http.StatusCreated, &made); err != nil {
		return err
	}
	into.forks = append(into.forks, time.Since(began))
	for _, fork := range made {
		if fork.Sandbox == nil {
			return fmt.Errorf("a fork was not made: %s", fork.Error.Message)
		}
		fork.Sandbox.wrenn = parent.wrenn
		err = errors.Join(err, fork.Sandbox.kill(ctx))
	}
	if len(made) != forksAtOnce {
		return errors.Join(err, fmt.Errorf("%d forks were made, %d were asked for", len(made), forksAtOnce))
	}
	return err
}

// measureFleet creates many sandboxes as fast as possible, and measures their memory
// when they are idle.
func measureFleet(ctx context.Context, wrenn *installation.Installation, count int, into *measurements) (err error) {
	fleet := make([]*sandbox, count)
	defer func() {
		for _, s := range fleet {
			if s != nil {
				err = errors.Join(err, s.kill(ctx))
			}
		}
	}()
	began := time.Now()
	if err := createFleet(ctx, wrenn, fleet, into); err != nil {
		return err
	}
	into.fleetTime = time.Since(began)
	return measureIdle(ctx, wrenn, fleet, into)
}

// How long a fleet is idle before its CPU time is measured, and for how long that is.
const (
	idleBefore = 5 * time.Second
	idleFor    = 20 * time.Second
)

// measureIdle measures the memory and the CPU time of an idle fleet.
func measureIdle(ctx context.Context, wrenn *installation.Installation, fleet []*sandbox, into *measurements) error {
	machines := make([]*machine, len(fleet))
	for i, s := range fleet {
		var err error
		if machines[i], err = machineOf(wrenn, s.ID); err != nil {
			return err
		}
	}
	if err := wait(ctx, idleBefore); err != nil {
		return err
	}
	began := time.Now()
	before, err := sum(machines, (*machine).cpuTime)
	if err != nil {
		return err
	}
	if err := wait(ctx, idleFor); err != nil {
		return err
	}
	after, err := sum(machines, (*machine).cpuTime)
	if err != nil {
		return err
	}
	into.fleetCPU = float64(after-before) / float64(time.Since(began)) / float64(len(machines))
	memory, err := sum(machines, (*machine).proportionalMemory)
	into.fleetMemory = memory / float64(len(machines))
	return err
}

// sum adds up what is measured of each machine.
func sum[T time.Duration | float64](machines []*machine, measure func(*machine) (T, error)) (total T, err error) {
	for _, each := range machines {
		one, err := measure(each)
		if err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}

func wait(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}

// createFleet fills the fleet from a few clients at a time.
func createFleet(ctx context.Context, wrenn *installation.Installation, fleet []*sandbox, into *measurements) error {
	next := make(chan int)
	var clients sync.WaitGroup
	var mutex sync.Mutex
	var failures []error
	for range createsAtOnce {
		clients.Go(func() {
			for at := range next {
				began := time.Now()
				s, err := createSandbox(ctx, wrenn)
				took := time.Since(began)
				mutex.Lock()
				if err == nil {
					fleet[at] = s
					into.fleetCreates = append(into.fleetCreates, took)
				}
				failures = append(failures, err)
				mutex.Unlock()
			}
		})
	}
	for at := range fleet {
		next <- at
	}
	close(next)
	clients.Wait()
	return errors.Join(failures...)
}
