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
	"git.omukk.dev/wrenn/sandbox/internal/cli/apiclient"
	"git.omukk.dev/wrenn/sandbox/internal/up"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

const (
	keyPoll = 200 * time.Millisecond
	// keyPatience is how long a running control plane has to use a new key and to seal
	// every value with it.
	keyPatience = time.Minute
)

// keysCommand holds what all commands on secret keys need.
type keysCommand struct {
	cli.Streams
	client *apiclient.Settings
}

func newKeys(s cli.Streams) *cobra.Command {
	c := &keysCommand{Streams: s, client: apiclient.New()}
	command := &cobra.Command{
		Use:   "keys",
		Short: "Rotate and list the keys that derive tokens and seal secrets",
	}
	c.client.AddFlags(command.PersistentFlags())
	command.AddCommand(c.newRotate(), c.newList())
	return command
}

func (c *keysCommand) newRotate() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new secret key, which revokes all tokens of sandboxes and volumes",
		Long: `Make a new secret key and write it in front of the others in the key file. A running
control plane uses it within two seconds: it derives tokens from the new key, refuses
those of older keys, and seals secrets again with the new key. Nothing is restarted,
paused sandboxes stay as they are, and SDK clients get new tokens when they connect.
Older keys stay in the file: backups of the database need them.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return c.rotate(command.Context(), file) },
	}
	command.Flags().StringVar(&file, "file", "", "WRENN_SECRET_KEY_FILE of a control plane that wrenn up did not start")
	return command
}

func (c *keysCommand) rotate(ctx context.Context, file string) error {
	if err := c.client.Read(); err != nil {
		return err
	}
	layout := up.Layout{DataDir: c.client.DataDir}
	elsewhere := file != ""
	if !elsewhere {
		file = layout.SecretKey()
	}
	newest, err := seal.RotateKeyFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the secret key %s can be read by root only; run it with sudo", file)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Errors, "the newest key in %s is %s; back up the file, apart from the database\n", file, newest)
	if elsewhere {
		fmt.Fprintln(c.Errors, "control planes with this file use the key within seconds; see: wrenn keys list")
		return nil
	}
	address, running, err := layout.URL()
	if err != nil {
		return err
	}
	if !running {
		fmt.Fprintln(c.Errors, "Wrenn does not run here; it uses the key from its next start")
		return nil
	}
	token, err := layout.ReadAdminToken()
	if err != nil {
		return err
	}
	a := apiclient.ForAdmin(address, token)
	if err := awaitKey(ctx, a, newest.String()); err != nil {
		return fmt.Errorf("wait until the new key is in use: %w", err)
	}
	fmt.Fprintln(c.Errors, "it is in use: older tokens are refused, and secrets are sealed with it")
	return nil
}

// keyInfo is the API's answer about a secret key.
type keyInfo struct {
	KeyID       string `json:"keyID"`
	Newest      bool   `json:"newest"`
	Known       bool   `json:"known"`
	SealedCount int64  `json:"sealedCount"`
}

func secretKeys(ctx context.Context, a *apiclient.API) ([]keyInfo, error) {
	var keys []keyInfo
	_, err := a.Call(ctx, http.MethodGet, "/admin/keys", nil, &keys)
	return keys, err
}

// awaitKey waits until a key is the newest and seals all values.
func awaitKey(ctx context.Context, a *apiclient.API, newest string) error {
	ctx, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	poll := time.NewTicker(keyPoll)
	defer poll.Stop()
	for {
		keys, err := secretKeys(ctx, a)
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
		Short:   "List the secret keys, and how many values each seals",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			a, err := c.client.ConnectAdmin()
			if err != nil {
				return err
			}
			keys, err := secretKeys(command.Context(), a)
			if err != nil {
				return fmt.Errorf("list keys: %w", err)
			}
			if asJSON {
				return cli.PrintJSON(c.Output, keys)
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
