package apiclient

import (
	"strings"

	"github.com/spf13/pflag"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// Settings are the settings of the commands that call the API. Where the API and its
// credentials are not set, they are those of the Wrenn that serves a data directory of
// this machine.
type Settings struct {
	DataDir    string `env:"WRENN_DATA_DIR" flag:"data-dir" default:"/var/lib/wrenn" help:"directory of everything that must survive"`
	APIURL     string `env:"E2B_API_URL" derived:"the Wrenn that runs from WRENN_DATA_DIR" help:"URL of the API"`
	APIKey     string `env:"E2B_API_KEY" secret:"true" derived:"the key in WRENN_DATA_DIR" help:"API key of a team"`
	SandboxURL string `env:"E2B_SANDBOX_URL" derived:"E2B_API_URL" help:"URL of the traffic to sandboxes"`
	AdminToken string `env:"WRENN_ADMIN_TOKEN" secret:"true" derived:"the token in WRENN_DATA_DIR" help:"admin's token, for wrenn host, wrenn team and wrenn keys"`

	reader *settings.Reader
}

// New returns the settings, which are filled when they are used.
func New() *Settings {
	c := &Settings{}
	c.reader = settings.New(c)
	return c
}

// AddFlags adds the flags of the settings.
func (c *Settings) AddFlags(flags *pflag.FlagSet) { cli.AddFlags(flags, c.reader) }

// Read fills the settings once the flags are known.
func (c *Settings) Read() error { return cli.ReadSettings(c.reader) }

// Complete removes spaces and line ends around the token.
func (c *Settings) Complete() error {
	c.AdminToken = strings.TrimSpace(c.AdminToken)
	return nil
}
