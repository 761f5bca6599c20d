package network

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ErrNoSuchSlot is returned for a slot that does not exist any more.
var ErrNoSuchSlot = errors.New("network slot does not exist")

// Name identifies the slot for Adopt in a later process.
func (s *Slot) Name() string { return s.namespaceName() }

// Adopt takes over a slot that an earlier pool on the same state directory
// handed out. Connections of the guest are kept, except those through a gateway, which
// ended with the earlier pool. Apply starts the gateway again.
func (p *Pool) Adopt(name string) (*Slot, error) {
	index, err := strconv.Atoi(strings.TrimPrefix(name, namespacePrefix))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, ErrNoSuchSlot)
	}
	unlock, err := lock() // a slot that is being made has no record yet
	if err != nil {
		return nil, err
	}
	defer unlock()
	slot := p.slot(index)
	if p.isTaken(index) || absent(p.record(index)) || absent(slot.Namespace()) {
		return nil, fmt.Errorf("%s: %w", name, ErrNoSuchSlot)
	}
	p.take(slot)
	return slot, nil
}

// RemoveLeftovers destroys the slots that an earlier pool recorded and did not free, and
// that were not adopted.
func (p *Pool) RemoveLeftovers() error {
	records, err := os.ReadDir(p.config.StateDir)
	if err != nil {
		return fmt.Errorf("read network state: %w", err)
	}
	for _, record := range records {
		index, err := strconv.Atoi(record.Name())
		if err != nil {
			continue
		}
		if err := p.removeLeftover(index); err != nil {
			return err
		}
	}
	return nil
}

// removeLeftover checks the record again under the lock for making slots: the index may
// belong to a new slot by now.
func (p *Pool) removeLeftover(index int) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	if p.isTaken(index) || absent(p.record(index)) {
		return nil
	}
	p.config.Log.Info("removing an unused network slot", "slot", index)
	p.discard(p.slot(index))
	return nil
}

// Leave ends the pool but not the slots that were handed out: a later pool on
// the same state directory adopts them.
func (p *Pool) Leave() {
	p.cancel()
	p.tasks.Wait()
	p.mutex.Lock()
	handedOut := slices.Collect(maps.Values(p.taken))
	clear(p.taken)
	p.mutex.Unlock()
	for _, slot := range handedOut {
		slot.close()
	}
}

func (p *Pool) take(slot *Slot) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.taken[slot.index] = slot
}

func (p *Pool) giveUp(index int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.taken, index)
}

func (p *Pool) isTaken(index int) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	_, taken := p.taken[index]
	return taken
}
