package cpserver

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

// openDatabase opens the database and migrates it.
func openDatabase(ctx context.Context, steps *boot.Sequence, url string) (*pgxpool.Pool, error) {
	pool, err := db.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	steps.OnStop("close the database", func(context.Context) error { pool.Close(); return nil })
	if err := db.Migrate(ctx, pool); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return pool, nil
}

// holdClaimant takes the number by which this control plane claims sandboxes, and holds
// it until the stop.
func holdClaimant(ctx context.Context, steps *boot.Sequence, b Base) (*db.Claimant, error) {
	claimant, err := db.NewClaimant(ctx, b.Config.DatabaseURL, b.Log)
	if err != nil {
		return nil, err
	}
	steps.Background("hold the place among the control planes", claimant.Hold)
	return claimant, nil
}

// openEvents opens the bus of events and delivers them until the stop.
func openEvents(ctx context.Context, steps *boot.Sequence, b *base) (*events.Bus, error) {
	bus, err := events.NewBus(ctx, b.Config.DatabaseURL, b.Pool, b.Log)
	if err != nil {
		return nil, err
	}
	steps.Background("follow events", bus.Run)
	return bus, nil
}

// ensureDefaultTeam makes the default team if it is missing, and gives it the key in
// WRENN_BOOTSTRAP_API_KEY_FILE.
func ensureDefaultTeam(ctx context.Context, b Base) error {
	team, err := identity.EnsureTeam(ctx, b.Pool, defaultTeam, "Default")
	if err != nil {
		return err
	}
	path := b.Config.BootstrapAPIKeyFile
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("WRENN_BOOTSTRAP_API_KEY_FILE: %w", err)
	}
	key := strings.TrimSpace(string(content))
	if !auth.IsKey(key) {
		return fmt.Errorf("WRENN_BOOTSTRAP_API_KEY_FILE: %s does not hold an API key", path)
	}
	return keys.Ensure(ctx, b.Pool, team.ID, key, "First key")
}

// readSecretFile returns the text of a file that a setting names, and "" if it names
// none.
func readSecretFile(setting, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", fmt.Errorf("%s: %s is empty", setting, path)
	}
	return secret, nil
}

// orZero returns a limit as services have it: 0 is none.
func orZero(limit *int64) int64 {
	if limit == nil {
		return 0
	}
	return *limit
}
