package cpserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// billing is an extension with settings.
type billing struct {
	config struct {
		URL   string `env:"WRENN_BILLING_URL" required:"true" help:"where bills go"`
		Quota int    `env:"WRENN_BILLING_QUOTA" default:"3" min:"1" help:"how many are free"`
	}
}

var _ cpextension.Configured = (*billing)(nil)

func (*billing) Name() string         { return "billing" }
func (b *billing) Configuration() any { return &b.config }

func TestSettings_HaveThoseOfExtensions(t *testing.T) {
	t.Parallel()
	extension := &billing{}
	reader, err := cpserver.Settings(cpserver.WithExtensions(extension))
	require.NoError(t, err)
	require.Contains(t, reader.Names(), "WRENN_LISTEN")
	require.Contains(t, reader.Names(), "WRENN_BILLING_QUOTA")

	_, err = cpserver.Settings(cpserver.WithExtensions(extension, extension))
	require.EqualError(t, err, "settings of extensions: settings: two fields are WRENN_BILLING_URL")
}

func TestRun_ReturnsAllThatIsWrongWithSettings(t *testing.T) {
	for _, name := range settings.Known() {
		t.Setenv(name, "")
	}
	t.Setenv("DATABASE_URL", "")
	t.Setenv("WRENN_MAX_TIMEOUT", "soon")
	t.Setenv("WRENN_BILLING_QUOTA", "0")
	t.Setenv("WRENN_BILLING_QUOTAS", "1")
	err := cpserver.Run(t.Context(), cpserver.WithExtensions(&billing{}))
	require.EqualError(t, err, `read configuration: DATABASE_URL is not set
WRENN_SECRET_KEY_FILE is not set
WRENN_MAX_TIMEOUT must be a positive duration, such as 24h
WRENN_BILLING_URL is not set
WRENN_BILLING_QUOTA must be a whole number of at least 1
WRENN_BILLING_QUOTAS is not a setting; WRENN_BILLING_QUOTA is`)
}

func TestRun_FillsTheConfigurationOfAnExtensionBesideOneThatWasPassed(t *testing.T) {
	t.Setenv("WRENN_BILLING_URL", "https://bills.example.com")
	extension := &billing{}
	p := setUp(t, http.NotFoundHandler())
	p.extras = append(p.extras, cpserver.WithExtensions(extension))
	p.start(t)
	require.Equal(t, "https://bills.example.com", extension.config.URL)
	require.Equal(t, 3, extension.config.Quota)
}
