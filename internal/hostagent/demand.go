package hostagent

import (
	"fmt"

	domain "git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// isolationError is returned for a request that demands an isolation that this host's
// driver does not give. The control plane places by what it was told last, which is before
// a restart with another driver.
type isolationError struct {
	demand domain.Isolation
	driver string
}

// Error says what is demanded and what the host has.
func (e *isolationError) Error() string {
	return fmt.Sprintf("isolation %s is demanded, and this host runs %s, which gives %s",
		e.demand, e.driver, domain.IsolationOf(e.driver))
}

// requireIsolation returns an *isolationError unless the driver gives what is demanded.
func (s *server) requireIsolation(demand string) error {
	wanted, driver := domain.Isolation(demand), s.driver.Name()
	if domain.IsolationOf(driver).Satisfies(wanted) {
		return nil
	}
	return &isolationError{demand: wanted, driver: driver}
}
