package auth

import (
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// Attempts bounds how often what belongs to an account may be guessed: tightly from
// one network, so that guesses from there do not lock the account elsewhere, and
// loosely from all networks together. The loose limit refills faster than the tight one,
// so that one network alone never exhausts it.
type Attempts struct {
	near *Limiter // by account and network
	all  *Limiter // by account
}

// NewAttempts makes Attempts from the two limits.
func NewAttempts(nearBurst int, nearInterval time.Duration, allBurst int, allInterval time.Duration) *Attempts {
	return &Attempts{near: NewLimiter(nearBurst, nearInterval), all: NewLimiter(allBurst, allInterval)}
}

// Take counts an attempt at an account from an address before it is made, or
// answers a fault where that is too often.
func (a *Attempts) Take(account, address string) error {
	if err := a.near.Take(nearby(account, address)); err != nil {
		return err
	}
	return a.all.Take(account)
}

// Succeeded forgives what was counted from the address's network, and takes the
// attempt itself out of what was counted from all.
func (a *Attempts) Succeeded(account, address string) {
	a.near.Forgive(nearby(account, address))
	a.all.Refund(account)
}

func nearby(account, address string) string { return account + " from " + Neighbourhood(address) }

// neighbourhoodBits is how much of an IPv4 address its neighbours have in common.
const neighbourhoodBits = 24

// Neighbourhood is the network that guesses are counted by: an IPv4 address's /24,
// an IPv6 address's /64.
func Neighbourhood(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || !parsed.Unmap().Is4() {
		return ratelimit.Network(address)
	}
	network, err := parsed.Unmap().Prefix(neighbourhoodBits)
	if err != nil {
		return address
	}
	return network.String()
}
