// Command wrenn-sim places simulated sandboxes on simulated hosts and prints how
// many placements a second the scheduler makes, how its cost grows with the
// fleet, and how equally full the hosts become.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

func main() {
	hosts := flag.Int("hosts", 10_000, "hosts of the largest fleet")
	perHost := flag.Int("per-host", 100, "sandboxes for each host")
	churn := flag.Float64("churn", 0.2, "sandboxes that end for each placement")
	seed := flag.Uint64("seed", 1, "seed of the random numbers")
	flag.Parse()
	fmt.Println("   hosts  sandboxes  placements/s  per placement  fullness: mean  deviation  fullest")
	for _, size := range []int{*hosts / 100, *hosts / 10, *hosts} {
		if size == 0 {
			continue
		}
		r, err := simulate(size, size**perHost, *churn, rand.New(rand.NewPCG(*seed, 0))) //nolint:gosec // not for secrets
		if err != nil {
			fmt.Fprintln(os.Stderr, "wrenn-sim:", err)
			os.Exit(1)
		}
		fmt.Printf("%8d %10d %13.0f %14v %15.3f %10.4f %8.3f\n", size, r.placed, float64(r.placed)/r.took.Seconds(),
			(r.took / time.Duration(r.placed)).Round(10*time.Nanosecond), r.mean, r.deviation, r.fullest)
	}
}

// result is the outcome of the simulation of one fleet.
type result struct {
	placed                   int
	took                     time.Duration
	mean, deviation, fullest float64
}

// sandbox is a placed sandbox.
type sandbox struct {
	hostID  uuid.UUID
	request scheduler.Request
}

var errOverCapacity = errors.New("a host was promised beyond its capacity")

// simulate places sandboxes of four sizes on hosts of two sizes, while earlier ones end.
// result.took is the time of the scheduler alone.
func simulate(hosts, sandboxes int, churn float64, random *rand.Rand) (result, error) {
	fleet, index := newFleet(hosts, random), map[uuid.UUID]int{}
	for n, host := range fleet {
		index[host.ID] = n
	}
	s := scheduler.NewSpread(rand.New(rand.NewPCG(random.Uint64(), 0))) //nolint:gosec // not for secrets
	s.Observe(fleet)
	reserve := func(context.Context, uuid.UUID) error { return nil }
	var alive []sandbox
	var r result
	began := time.Now()
	for r.placed < sandboxes {
		request := scheduler.Request{Needs: sizes[random.IntN(len(sizes))]}
		hostID, err := s.Place(context.Background(), request, reserve)
		if err != nil {
			return r, err
		}
		r.placed++
		alive = append(alive, sandbox{hostID, request})
		if random.Float64() < churn {
			ended := random.IntN(len(alive))
			s.Release(alive[ended].hostID, alive[ended].request)
			alive[ended] = alive[len(alive)-1]
			alive = alive[:len(alive)-1]
		}
	}
	r.took = time.Since(began)
	for _, s := range alive {
		host := &fleet[index[s.hostID]]
		host.Allocated = host.Allocated.Plus(s.request.Needs)
	}
	return r, r.measure(fleet)
}

// sizes are the sizes of sandboxes.
var sizes = []scheduler.Resources{
	{VCPUs: 1, MemoryMiB: 512, DiskMiB: 4096},
	{VCPUs: 2, MemoryMiB: 1024, DiskMiB: 4096},
	{VCPUs: 2, MemoryMiB: 2048, DiskMiB: 8192},
	{VCPUs: 4, MemoryMiB: 4096, DiskMiB: 16384},
}

func newFleet(hosts int, random *rand.Rand) []scheduler.Host {
	fleet := make([]scheduler.Host, hosts)
	for n := range fleet {
		scale := int64(1 + random.IntN(2))
		id, err := uuid.NewRandomFromReader(chacha(random))
		if err != nil {
			panic(err) // random numbers never fail
		}
		fleet[n] = scheduler.Host{ID: id, Capacity: scheduler.Resources{
			VCPUs: 256 * scale, MemoryMiB: 256 << 10 * scale, DiskMiB: 2 << 20 * scale,
		}}
	}
	return fleet
}

func chacha(random *rand.Rand) *rand.ChaCha8 {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	return rand.NewChaCha8(seed)
}

// measure computes how full hosts are, each by its scarcest resource.
func (r *result) measure(fleet []scheduler.Host) error {
	var sum, squares float64
	for _, host := range fleet {
		if !host.Allocated.Fits(host.Capacity) {
			return errOverCapacity
		}
		share := max(float64(host.Allocated.VCPUs)/float64(host.Capacity.VCPUs),
			float64(host.Allocated.MemoryMiB)/float64(host.Capacity.MemoryMiB),
			float64(host.Allocated.DiskMiB)/float64(host.Capacity.DiskMiB))
		sum, squares, r.fullest = sum+share, squares+share*share, max(r.fullest, share)
	}
	n := float64(len(fleet))
	r.mean = sum / n
	r.deviation = math.Sqrt(max(squares/n-r.mean*r.mean, 0))
	return nil
}
