package warm

import (
	"cmp"
	"slices"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// want is how many clones of a snapshot are to be ready.
type want struct {
	base  *snapshot.Snapshot
	count int
}

// wanted are the clones that demand asks for and the budget has room for. First each
// template has one, then each build in use, the most used first, and then there are more of
// those whose recent creates ask for more. The mutex is held.
func (p *Pool) wanted(now time.Time) []want {
	var all []want
	left := p.config.BudgetBytes
	add := func(index, more int) {
		each := p.expectedBytes(all[index].base.BuildID)
		for ; more > 0 && left >= each; more-- {
			all[index].count++
			left -= each
		}
	}
	for _, base := range append(p.config.Templates.Templates(), p.buildsInUse(now)...) {
		all = append(all, want{base: base})
		add(len(all)-1, 1)
	}
	for i, one := range all {
		add(i, p.demands[one.base.BuildID].clones(now)-1)
	}
	return all
}

// buildsInUse are the builds that creates have lately asked for more than once, the most
// used first. It forgets those that nobody uses and that are gone. The mutex is held.
func (p *Pool) buildsInUse(now time.Time) []*snapshot.Snapshot {
	always := p.config.Templates.Templates()
	var used []*snapshot.Snapshot
	for id, base := range p.builds {
		switch demand := p.demands[id]; {
		case slices.Contains(always, base):
		case !p.config.Templates.IsTemplate(base):
			delete(p.builds, id)
			delete(p.demands, id)
		case demand.isUsed(now):
			used = append(used, base)
		case demand.lately.now(now, lately) < forgotten:
			delete(p.builds, id)
			delete(p.demands, id)
		}
	}
	slices.SortFunc(used, func(a, b *snapshot.Snapshot) int {
		byUse := cmp.Compare(p.demands[b.BuildID].lately.now(now, lately), p.demands[a.BuildID].lately.now(now, lately))
		return cmp.Or(byUse, cmp.Compare(a.BuildID, b.BuildID))
	})
	return used
}

// forgotten is the use of a build below which nothing is remembered of it.
const forgotten = 0.01

// expectedBytes is what one more clone of a build is expected to use: as much as those that
// there are, of others if there are none of it. The mutex is held.
func (p *Pool) expectedBytes(buildID string) int64 {
	if each := averageBytes(p.clones[buildID]); each > 0 {
		return each
	}
	var all []*Clone
	for _, held := range p.clones {
		all = append(all, held...)
	}
	return cmp.Or(averageBytes(all), typicalCloneBytes)
}

func averageBytes(clones []*Clone) int64 {
	if len(clones) == 0 {
		return 0
	}
	var sum int64
	for _, c := range clones {
		sum += c.memoryBytes
	}
	return max(1, sum/int64(len(clones)))
}

// shortage lists the snapshots of clones that are missing, at most limit. What is held is
// counted as what it really uses.
func (p *Pool) shortage(limit int) []*snapshot.Snapshot {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.closed {
		return nil
	}
	left := p.config.BudgetBytes
	for _, held := range p.clones {
		for _, c := range held {
			left -= c.memoryBytes
		}
	}
	var missing []*snapshot.Snapshot
	for _, one := range p.wanted(time.Now()) {
		each := p.expectedBytes(one.base.BuildID)
		for range one.count - len(p.clones[one.base.BuildID]) {
			if left -= each; len(missing) >= limit || left < 0 {
				return missing
			}
			missing = append(missing, one.base)
		}
	}
	return missing
}

// takeSurplus takes the dead clones, those of builds that are not used or have no room any
// more, and the oldest of those that demand no longer asks for.
func (p *Pool) takeSurplus() []*Clone {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	wanted := make(map[string]int)
	for _, one := range p.wanted(time.Now()) {
		wanted[one.base.BuildID] = one.count
	}
	var surplus []*Clone
	for build, held := range p.clones {
		held = slices.DeleteFunc(held, func(c *Clone) bool {
			if c.isAlive() {
				return false
			}
			surplus = append(surplus, c)
			return true
		})
		// Twice as many as demand asks for are kept: demand comes in waves.
		if most := 2 * wanted[build]; len(held) > most {
			surplus = append(surplus, held[:len(held)-most]...)
			held = held[len(held)-most:]
		}
		p.clones[build] = held
		if len(held) == 0 {
			delete(p.clones, build)
		}
	}
	return surplus
}
