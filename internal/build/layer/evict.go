package layer

import (
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Touch notes that layers were used, from the base on: the store removes the last of them
// first.
func (s *Store) Touch(teamID string, ids ...string) {
	now := time.Now()
	for i, id := range ids {
		used := now.Add(-time.Duration(i) * time.Millisecond)
		s.mutex.Lock()
		if found := s.layers[id]; found != nil {
			found.used = used
		}
		s.mutex.Unlock()
		// The order survives a restart; without it the layer looks older than it is.
		_ = os.Chtimes(s.factsPath(teamID, id), used, used)
	}
}

// Size is how many bytes all layers take.
func (s *Store) Size() int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.size()
}

// size is called with the mutex held.
func (s *Store) size() int64 {
	var total int64
	for _, one := range s.layers {
		total += one.ownBytes
	}
	return total
}

// evict removes the least recently used layers until the others fit.
func (s *Store) evict() {
	for _, id := range s.unfit() {
		if err := s.remove(id, 0); err != nil {
			s.log.Error("remove a layer", "error", err)
		}
	}
}

// unfit chooses what to remove.
func (s *Store) unfit() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	total := s.size()
	if total <= s.maxBytes {
		return nil
	}
	var chosen []string
	oldest := slices.SortedFunc(maps.Keys(s.layers), func(a, b string) int { return s.layers[a].used.Compare(s.layers[b].used) })
	for _, id := range oldest {
		if total <= s.maxBytes {
			break
		}
		if s.layers[id].users == 0 {
			chosen = append(chosen, id)
			total -= s.layers[id].ownBytes
		}
	}
	return chosen
}

// remove removes a layer unless more than so many hold it. Its entries are removed at the
// next start.
func (s *Store) remove(id string, holders int) error {
	s.mutex.Lock()
	found := s.layers[id]
	if found == nil || found.users > holders {
		s.mutex.Unlock()
		return nil
	}
	delete(s.layers, id)
	s.mutex.Unlock()
	removed := snapshot.Snapshot{Dir: s.diskDirectory(found.teamID, id)}
	return errors.Join(removed.Remove(), disk.RemoveIfThere(s.factsPath(found.teamID, id)))
}
