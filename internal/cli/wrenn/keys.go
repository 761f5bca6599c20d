package wrenn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

const (
	keyPoll = 200 * time.Millisecond
	// keyPatience is how long a running control plane may take to use a new key and
	// to seal everything with it.
	keyPatience = time.Minute
)

// keysCommand is wrenn keys: what an admin does with an installation's secret keys.
type keysCommand struct {
	cli.Streams
	dataDir string
}

func newKeys(s cli.Streams) *cobra.Command {
	c := &keysCommand{Streams: s}
	command := &cobra.Command{
		Use:   "keys",
		Short: "Rotate the key that tokens are derived from and secrets sealed with",
	}
	command.PersistentFlags().StringVar(&c.dataDir, "data-dir", cli.EnvironmentOr("WRENN_DATA_DIR", installation.DefaultDataDir), "where Wrenn keeps its data (WRENN_DATA_DIR)")
	command.AddCommand(c.newRotate(), c.newList())
	return command
}

func (c *keysCommand) newRotate() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new secret key, which revokes every token of every sandbox and volume",
		Long: `Make a new secret key and put it in front of those in the key file. A control
plane that runs takes it within a second or two: it derives tokens from the new
key, so that those from before are refused, and seals secrets again with it.
Nothing has to be restarted, paused sandboxes stay as they are, and SDK clients
get new tokens when they connect. Older keys stay in the file; they are needed
for backups of the database.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return c.rotate(command.Context(), file) },
	}
	command.Flags().StringVar(&file, "file", "", "the control plane's WRENN_SECRET_KEY_FILE, where it was not started by wrenn up")
	return command
}

func (c *keysCommand) rotate(ctx context.Context, file string) error {
	layout := up.Layout{DataDir: c.dataDir}
	elsewhere := file != ""
	if !elsewhere {
		file = layout.SecretKey()
	}
	newest, err := seal.RotateKeyFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the secret key %s is not this user's; run it with sudo", file)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Errors, "the newest key in %s is %s; back the file up, apart from the database\n", file, newest)
	if elsewhere {
		fmt.Fprintln(c.Errors, "control planes that have this file use the key within seconds; see: wrenn keys list")
		return nil
	}
	address, running, err := layout.URL()
	if err != nil {
		return err
	}
	if !running {
		fmt.Fprintln(c.Errors, "Wrenn does not run here; it uses the key from its next start on")
		return nil
	}
	token, err := layout.ReadAdminToken()
	if err != nil {
		return err
	}
	a := &api{url: address, adminToken: token, client: &http.Client{}}
	if err := a.awaitKey(ctx, newest.String()); err != nil {
		return fmt.Errorf("wait until the new key is in use: %w", err)
	}
	fmt.Fprintln(c.Errors, "it is in use: tokens from before are refused, and secrets are sealed with it")
	return nil
}

// keyInfo is what the API says of a secret key.
type keyInfo struct {
	KeyID       string `json:"keyID"`
	Newest      bool   `json:"newest"`
	Known       bool   `json:"known"`
	SealedCount int64  `json:"sealedCount"`
}

func (a *api) secretKeys(ctx context.Context) ([]keyInfo, error) {
	var keys []keyInfo
	_, err := a.call(ctx, http.MethodGet, "/admin/keys", nil, &keys)
	return keys, err
}

// awaitKey waits until a key is the newest, and nothing is sealed with another one.
func (a *api) awaitKey(ctx context.Context, newest string) error {
	ctx, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	poll := time.NewTicker(keyPoll)
	defer poll.Stop()
	for {
		keys, err := a.secretKeys(ctx)
		if err == nil && isOnlyKeyInUse(keys, newest) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-poll.C:
		}
	}
}

func isOnlyKeyInUse(keys []keyInfo, newest string) bool {
	isNewest := false
	for _, key := range keys {
		switch {
		case key.KeyID == newest:
			isNewest = key.Newest
		case key.SealedCount > 0:
			return false
		}
	}
	return isNewest
}

func (c *keysCommand) newList() *cobra.Command {
	asJSON := false
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the secret keys, and how many values are sealed with each",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := connectAdmin(c.dataDir)
			if err != nil {
				return err
			}
			keys, err := a.secretKeys(command.Context())
			if err != nil {
				return fmt.Errorf("list keys: %w", err)
			}
			if asJSON {
				return printJSON(c.Output, keys)
			}
			return c.printTable(keys)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func (c *keysCommand) printTable(keys []keyInfo) error {
	table := tabwriter.NewWriter(c.Output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tUSE\tSEALED")
	for _, key := range keys {
		use := "opens"
		switch {
		case key.Newest:
			use = "newest"
		case !key.Known:
			use = "missing"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\n", key.KeyID, use, key.SealedCount)
	}
	return table.Flush()
}
