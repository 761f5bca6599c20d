package wrenn

import (
	"strings"

	"github.com/spf13/pflag"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// client are the settings of the commands that call the API. Where the API and its
// credentials are not set, they are those of the Wrenn that serves a data directory of
// this machine.
type client struct {
	DataDir    string `env:"WRENN_DATA_DIR" flag:"data-dir" default:"/var/lib/wrenn" help:"directory of everything that must survive"`
	APIURL     string `env:"E2B_API_URL" derived:"the Wrenn that runs from WRENN_DATA_DIR" help:"URL of the API"`
	APIKey     string `env:"E2B_API_KEY" secret:"true" derived:"the key in WRENN_DATA_DIR" help:"API key of a team"`
	SandboxURL string `env:"E2B_SANDBOX_URL" derived:"E2B_API_URL" help:"URL of the traffic to sandboxes"`
	AdminToken string `env:"WRENN_ADMIN_TOKEN" secret:"true" derived:"the token in WRENN_DATA_DIR" help:"admin's token, for wrenn host and wrenn keys"`

	reader *settings.Reader
}

func newClient() *client {
	c := &client{}
	c.reader = settings.New(c)
	return c
}

func (c *client) addFlags(flags *pflag.FlagSet) { cli.AddFlags(flags, c.reader) }

// read fills the settings once the flags are known.
func (c *client) read() error { return cli.ReadSettings(c.reader) }

// Complete removes spaces and line ends around the token.
func (c *client) Complete() error {
	c.AdminToken = strings.TrimSpace(c.AdminToken)
	return nil
}
