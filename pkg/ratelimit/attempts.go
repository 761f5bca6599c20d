package ratelimit

import (
	"net/netip"
	"time"
)

// Attempts limits attempts at accounts, such as wrong passwords: tightly for each
// account and network, so that attempts from one network do not lock the account
// elsewhere, and loosely for each account. The loose limit must refill faster than the
// tight one, so that one network alone never exhausts it.
type Attempts struct {
	near *Limiter // by account and network
	all  *Limiter // by account
}

// NewAttempts makes Attempts from the tight and the loose limit.
func NewAttempts(nearBurst int, nearInterval time.Duration, allBurst int, allInterval time.Duration) *Attempts {
	return &Attempts{near: NewLimiter(nearBurst, nearInterval), all: NewLimiter(allBurst, allInterval)}
}

// Take counts an attempt from an address before it is made, or returns a fault.
func (a *Attempts) Take(account, address string) error {
	if err := a.near.Take(nearKey(account, address)); err != nil {
		return err
	}
	return a.all.Take(account)
}

// Succeeded takes back all attempts from the address's network, and from the loose limit
// the one that succeeded.
func (a *Attempts) Succeeded(account, address string) {
	a.near.Forget(nearKey(account, address))
	a.all.Refund(account)
}

func nearKey(account, address string) string { return account + " from " + Neighbourhood(address) }

// neighbourhoodBits is the length of the prefix of an IPv4 neighbourhood.
const neighbourhoodBits = 24

// Neighbourhood returns what attempts from an address are counted by: the /24 network of
// an IPv4 address and the /64 network of an IPv6 address.
func Neighbourhood(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || !parsed.Unmap().Is4() {
		return Network(address)
	}
	network, err := parsed.Unmap().Prefix(neighbourhoodBits)
	if err != nil {
		return address
	}
	return network.String()
}
