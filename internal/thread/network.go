package thread

import (
	"fmt"

	"github.com/vishvananda/netns"
)

// EnterNetwork moves the thread into the network namespace at a path; only work of Run
// calls it.
func EnterNetwork(path string) error {
	namespace, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	defer namespace.Close()
	if err := netns.Set(namespace); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return nil
}
