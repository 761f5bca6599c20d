package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
)

const (
	// apiTurn is how long a turn of one side lasts.
	apiTurn = time.Second / 2
	// apiConnections send requests at the same time, each one after the other.
	apiConnections = 4
	// warmUpTurns come first and are not counted.
	warmUpTurns = 1
)

// apiSide is one of the two servers that are compared.
type apiSide struct {
	address string
	times   map[string]*[]time.Duration // by operation
}

// measureAPI sends the same requests to the control API and to a bare handler over the
// same database with as many connections to it.
func measureAPI(ctx context.Context, o options, into *measurements) (err error) {
	fmt.Fprintln(os.Stderr, "reading and listing through the API")
	steps, ctx := boot.New(ctx)
	defer func() { err = errors.Join(err, steps.Stop(context.WithoutCancel(ctx))) }()
	world := &apiWorld{steps: steps}
	if err := world.start(ctx, o.output); err != nil {
		return err
	}
	sides := []apiSide{
		{world.bare, map[string]*[]time.Duration{"read": &into.readByHand, "list": &into.listByHand}},
		{world.wrenn, map[string]*[]time.Duration{"read": &into.readByAPI, "list": &into.listByAPI}},
	}
	if err := world.compareAnswers(ctx); err != nil {
		return err
	}
	for round := range o.rounds + warmUpTurns {
		for _, operation := range []string{"read", "list"} {
			for _, side := range sides {
				took, err := world.ask(ctx, side.address, operation)
				if err != nil {
					return fmt.Errorf("%s at %s: %w", operation, side.address, err)
				}
				if round >= warmUpTurns {
					*side.times[operation] = append(*side.times[operation], took)
				}
			}
		}
		slices.Reverse(sides)
	}
	return nil
}

// ask sends requests to a server for a turn, and returns the time for a thousand
// answers.
func (w *apiWorld) ask(ctx context.Context, address, operation string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTurn)
	defer cancel()
	var answered atomic.Int64
	failures := make([]error, apiConnections)
	var running sync.WaitGroup
	began := time.Now()
	for i := range apiConnections {
		running.Go(func() {
			failures[i] = w.keepAsking(ctx, address, w.teams[i%len(w.teams)], operation, &answered)
		})
	}
	running.Wait()
	took := time.Since(began)
	if err := errors.Join(failures...); err != nil {
		return 0, err
	}
	if answered.Load() == 0 {
		return 0, errors.New("nothing was answered")
	}
	return took * 1000 / time.Duration(answered.Load()), nil
}

// keepAsking writes requests to a connection without an HTTP client, whose cost, the
// same on both sides, would hide the difference.
func (w *apiWorld) keepAsking(ctx context.Context, address string, team apiTeam, operation string, answered *atomic.Int64) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for ctx.Err() == nil {
		if _, _, err := askOnce(connection, reader, team, team.path(operation)); err != nil {
			return err
		}
		answered.Add(1)
	}
	return nil
}

func askOnce(connection io.Writer, reader *bufio.Reader, team apiTeam, path string) (http.Header, []byte, error) {
	_, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\nX-Team-ID: %s\r\n\r\n", path, team.key, team.id)
	if err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("GET %s is %s: %s", path, response.Status, body)
	}
	return response.Header, body, nil
}

// path is the path of an operation: reading a random sandbox of the team, or listing the
// first page.
func (t apiTeam) path(operation string) string {
	if operation == "list" {
		return "/v2/sandboxes"
	}
	return "/sandboxes/" + t.sandboxes[rand.IntN(len(t.sandboxes))] //nolint:gosec // not for secrets
}

// compareAnswers checks that both sides give the same answers.
func (w *apiWorld) compareAnswers(ctx context.Context) error {
	team := w.teams[0]
	for _, operation := range []string{"read", "list"} {
		path := team.path(operation)
		var totals, bodies []string
		for _, address := range []string{w.wrenn, w.bare} {
			connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			header, body, err := askOnce(connection, bufio.NewReader(connection), team, path)
			if err := errors.Join(err, connection.Close()); err != nil {
				return err
			}
			totals, bodies = append(totals, header.Get("X-Total-Running")), append(bodies, string(body))
		}
		if totals[0] != totals[1] || bodies[0] != bodies[1] {
			return fmt.Errorf("GET %s is answered %.500s by the API, but %.500s by the bare handler", path, bodies[0], bodies[1])
		}
	}
	return nil
}
